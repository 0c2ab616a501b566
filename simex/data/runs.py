"""Programs to be explained, a shard at a time: any shard can be had without the others."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.core.prng import host_rng
from simex.problems.sources.curriculum.draft import draw_drafts
from simex.problems.sources.curriculum.spec import Grammar


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One program on one stdin."""

    id: str
    group: str  # examples of one group never sit on both sides of a split
    source: str
    stdin: str
    origin: str  # a name in problems.sources.SOURCES
    license: str = "Apache-2.0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurriculumRuns:
    """Right and wrong programs of the generated curriculum, as many as are wanted."""

    grammar: Grammar = Grammar()
    inputs_per_program: int = 2
    num_wrong: int = 1

    def shard(self, split: str, index: int, *, size: int, seed: int) -> Iterator[Run]:
        """`size` runs, the same for the same arguments; no end to the shards."""
        drawn_by = int(host_rng(seed, "shards", split, index).integers(2**62))
        drafts = draw_drafts(
            drawn_by,
            split,
            grammar=self.grammar,
            num_problems=-(-size // self.inputs_per_program),
            num_public=self.inputs_per_program,
            num_hidden=0,
            num_wrong=self.num_wrong,
        )
        runs = (
            Run(
                id=f"{split}/{index:05d}/{draft.id}/{role}/{number}",
                group=draft.composition,
                source=source,
                stdin=stdin,
                origin="curriculum",
            )
            for draft in drafts
            for role, source in (
                ("right", draft.right_program),
                *(("wrong", wrong) for wrong in draft.wrong_programs[:1]),
            )
            for number, stdin in enumerate(draft.public_inputs)
        )
        return itertools.islice(runs, size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileRuns:
    """Runs from a JSON-lines file: id, group, program, stdin and, if known, license.

    A record without these is an error that names its line's id; nothing is passed over.
    """

    path: str
    split: str = "train"

    def shard(self, split: str, index: int, *, size: int, seed: int) -> Iterator[Run]:
        """The runs from `index * size` on; none where the file has ended."""
        del seed
        if split != self.split:
            return
        records = read_jsonl(pathlib.Path(self.path))
        for record in itertools.islice(records, index * size, (index + 1) * size):
            missing = {"id", "program", "stdin"} - set(record)
            if missing:
                raise UserError(
                    f"{self.path}: each record must have id, program and stdin; "
                    f"{record.get('id', '?')!r} lacks {', '.join(sorted(missing))}."
                )
            yield Run(
                id=str(record["id"]),
                group=str(record.get("group") or record.get("problem") or record["id"]),
                source=record["program"],
                stdin=record["stdin"],
                origin=pathlib.Path(self.path).stem,
                license=str(record.get("license", "unknown")),
            )
