"""ArrayRecord files written one by one, and the TFDS dataset that they add up to."""

import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from simex.core.errors import UserError
from simex.core.files import disk_full_error
from simex.data.builder import FILE_FORMAT, SimexExamples, dataset_dir
from simex.data.records import FIELDS, Example, render_record

_WRITER_OPTIONS = "group_size:1"  # random access to each record, as TFDS writes


def write_shard(path: pathlib.Path, examples: Sequence[Example]) -> int:
    """Writes one file, whole or not at all; how many bytes its records have.

    Raises:
      UserError: the disk is full.
    """
    # Imported here: workers start in a moment, and TFDS takes seconds.
    from array_record.python import array_record_module

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    size_bytes = 0
    try:
        writer = array_record_module.ArrayRecordWriter(str(temporary), _WRITER_OPTIONS)
        for example in examples:
            data = _serialize(example)
            size_bytes += len(data)
            writer.write(data)
        writer.close()
        os.replace(temporary, path)
    except OSError as error:
        raise disk_full_error(error, path) or error from error
    finally:
        temporary.unlink(missing_ok=True)
    return size_bytes


def _serialize(example: Example) -> bytes:
    from tensorflow_datasets.core import example_parser

    message = example_parser.tf_example_pb2.Example()
    record = render_record(example)
    for name in FIELDS:
        value = record[name].encode("utf-8")
        message.features.feature[name].bytes_list.value.append(value)
    return bytes(message.SerializeToString(deterministic=True))


def gather_shards(
    out: pathlib.Path, reports: Mapping[str, Sequence[Mapping[str, Any]]]
) -> pathlib.Path:
    """Makes a dataset of the files in ``out/shards``; its versioned folder.

    Args:
      out: holds ``shards/<split>-<number>.array_record``.
      reports: of each split, for each of its shards in order, a mapping with
        `num_examples` and `num_bytes`.

    Raises:
      UserError: a split without an example.
    """
    import tensorflow_datasets as tfds

    building = out / ".gathering"
    shutil.rmtree(building, ignore_errors=True)
    folder = dataset_dir(building)
    folder.mkdir(parents=True)
    builder = SimexExamples(
        jsonl_dir=out, data_dir=building / "info", file_format=FILE_FORMAT
    )
    infos = []
    for split, shards in sorted(reports.items()):
        full = [i for i, shard in enumerate(shards) if shard["num_examples"]]
        if not full:
            raise UserError(f"Split {split!r} must have an example; all were dropped.")
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder,
            dataset_name=SimexExamples.name,
            split=split,
            filetype_suffix=FILE_FORMAT,
        )
        for number, index in enumerate(full):
            target = template.sharded_filepath(shard_index=number, num_shards=len(full))
            # The same file under two names: nothing is copied.
            os.link(out / "shards" / f"{split}-{index:05d}.array_record", target)
        infos.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[shards[i]["num_examples"] for i in full],
                num_bytes=sum(shards[i]["num_bytes"] for i in full),
                filename_template=template,
            )
        )
    builder.info.set_splits(tfds.core.splits.SplitDict(infos))
    builder.info.write_to_directory(folder)
    final = dataset_dir(out)
    shutil.rmtree(final, ignore_errors=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(final)
    shutil.rmtree(building, ignore_errors=True)
    return final
