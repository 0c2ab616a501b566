"""Datasets of examples: a TFDS builder that writes ArrayRecord files.

    out/simex_examples/1.1.0/dataset_info.json, features.json,
    out/simex_examples/1.1.0/simex_examples-train.array_record-00000-of-00001, ...

No TensorFlow is needed to write or to read. The same examples give the same bytes.
"""

import contextlib
import io
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, overload

import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_parser, writer

from simex.core.errors import UserError
from simex.core.files import disk_full_error, read_jsonl, write_jsonl
from simex.data.records import FIELDS, Example, parse_record, render_record

FILE_FORMAT = "array_record"


# Records read at a time when all are read.
CHUNK_RECORDS = 1000

# The protobuf message that a record is stored as. TFDS ships it, without TensorFlow.
_RECORD = example_parser.tf_example_pb2.Example


class StoredExamples(Sequence[Example]):
    """Random access to the examples of one split; what `load_split` returns."""

    def __init__(self, records: Any):
        """Wraps a data source of serialized records."""
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...

    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        numbers = range(len(self))[index]  # negative numbers and IndexError as usual
        if isinstance(numbers, int):
            return _parse_stored(self._records[numbers])
        return [_parse_stored(r) for r in self._records.__getitems__(list(numbers))]

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), CHUNK_RECORDS):
            yield from self[start : start + CHUNK_RECORDS]


def _parse_stored(data: bytes) -> Example:
    # Seven texts a record: TFDS's own decoder of nested features takes ten times as long.
    fields = _RECORD.FromString(data).features.feature
    return parse_record({name: fields[name].bytes_list.value[0] for name in FIELDS})


class _DeterministicWriter(writer.ExampleWriter):
    """Writes the fields of a record in one order.

    TFDS serializes a record as a protobuf map, whose order changes from process to
    process, and with it every byte of the file.
    """

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        return super().write(
            path,
            (
                (key, _RECORD.FromString(data).SerializeToString(deterministic=True))
                for key, data in examples
            ),
        )


class SimexExamples(tfds.core.GeneratorBasedBuilder):
    """Examples from a folder with one JSON-lines file a split."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "id, task, prompt, target, group and source as text.",
        "1.1.0": "The licence of the program, too.",
    }

    def __init__(self, *, jsonl_dir: str | pathlib.Path, **kwargs: Any):
        """Prepares the builder; `download_and_prepare` writes.

        Args:
          jsonl_dir: holds ``<split>.jsonl`` files with the fields of `Example`.
          **kwargs: as for any TFDS builder, e.g. `data_dir` and `file_format`.
        """
        self._jsonl_dir = pathlib.Path(jsonl_dir)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {name: tfds.features.Text() for name in FIELDS}
        return tfds.core.DatasetInfo(
            builder=self,
            description="Prompts and targets for training models on program runs.",
            features=tfds.features.FeaturesDict(features),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        return {
            path.stem: self._generate_examples(path)
            for path in sorted(self._jsonl_dir.glob("*.jsonl"))
        }

    def _generate_examples(
        self, path: pathlib.Path
    ) -> Iterator[tuple[str, dict[str, str]]]:
        for record in read_jsonl(path):
            example = parse_record(record)
            yield example.id, render_record(example)

    def _example_writer(self) -> writer.ExampleWriter:
        return _DeterministicWriter(file_format=self.info.file_format)


def dataset_dir(out: pathlib.Path) -> pathlib.Path:
    """The folder of this version's files under `out`."""
    return out / SimexExamples.name / str(SimexExamples.VERSION)


def build_dataset(
    examples_by_split: Mapping[str, Iterable[Example]], out: pathlib.Path
) -> pathlib.Path:
    """Writes a dataset and returns its versioned folder, `dataset_dir(out)`.

    The examples are streamed to a spool file first. Everything happens under a
    temporary name beside the result, which is renamed at the very end: a killed build
    leaves nothing that passes for a dataset. A dataset that stands there is replaced.

    Raises:
      UserError: an empty split, an id that comes twice, a group on both sides of a
        split, or a full disk.
    """
    final = dataset_dir(out)
    out.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=out) as temporary:
        spool = pathlib.Path(temporary) / "spool"
        built = pathlib.Path(temporary) / "built"
        try:
            _spool(examples_by_split, spool)
            _prepare(spool, built)
        except OSError as error:
            raise disk_full_error(error, out) or error
        _replace_folder(dataset_dir(built), final)
    return final


def load_split(out: pathlib.Path, split: str) -> StoredExamples:
    """Random access to the examples of one split of the dataset under `out`.

    Raises:
      UserError: there is no dataset of this version, or it has no such split.
    """
    folder = dataset_dir(out)
    if not (folder / "dataset_info.json").is_file():
        found = sorted(p.name for p in folder.parent.glob("*") if p.is_dir())
        raise UserError(
            f"{folder} must hold a dataset; it does not (versions there: "
            f"{', '.join(found) or 'none'}). Run the stage that builds it."
        )
    builder = tfds.builder_from_directory(folder)
    if split not in builder.info.splits:
        raise UserError(
            f"The dataset in {folder} must have a split {split!r}; it has "
            f"{', '.join(sorted(builder.info.splits))}."
        )
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    return StoredExamples(builder.as_data_source(split, deserialize_method=raw))


_TEMPORARY = ".build-"


def _remove_leftovers(out: pathlib.Path) -> None:
    # Of builds that were killed. Two builds into one folder at a time are not allowed.
    for leftover in out.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _spool(
    examples_by_split: Mapping[str, Iterable[Example]], spool: pathlib.Path
) -> None:
    split_by_id: dict[str, str] = {}
    split_by_group: dict[str, str] = {}
    for split, examples in sorted(examples_by_split.items()):
        if not split.isidentifier() or split == "all":
            raise UserError(
                "The name of a split must be letters, digits and underscores, and not "
                f"'all'; got {split!r}."
            )
        num_before = len(split_by_id)
        checked = _checked(examples, split, split_by_id, split_by_group)
        write_jsonl(spool / f"{split}.jsonl", map(render_record, checked))
        if len(split_by_id) == num_before:
            raise UserError(
                f"Split {split!r} must have at least one example; it has none. Leave "
                "the split out, or see in the drop report why nothing was kept."
            )


def _checked(
    examples: Iterable[Example],
    split: str,
    split_by_id: dict[str, str],
    split_by_group: dict[str, str],
) -> Iterator[Example]:
    for example in examples:
        if other := split_by_id.get(example.id):
            raise UserError(
                f"Example ids must be unique; {example.id!r} comes twice, in splits "
                f"{other!r} and {split!r}."
            )
        other = split_by_group.setdefault(example.group, split)
        if other != split:
            raise UserError(
                f"A group must lie in one split; {example.group!r} has examples in "
                f"{other!r} and {split!r}, so the test would be trained on. Split by "
                "group."
            )
        split_by_id[example.id] = split
        yield example


def _prepare(spool: pathlib.Path, built: pathlib.Path) -> None:
    builder = SimexExamples(jsonl_dir=spool, data_dir=built, file_format=FILE_FORMAT)
    tfds.disable_progress_bar()
    # TFDS announces a download of unknown size on stdout; there is none.
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_dir=built / "downloads")


def _replace_folder(new: pathlib.Path, final: pathlib.Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        # A folder cannot be renamed onto a full one; the old one goes with the
        # temporary folder that `new` lies in.
        final.rename(new.parent / "replaced")
    new.rename(final)
