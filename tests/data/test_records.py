"""Examples that somebody wrote down."""

import pytest

from simex.core.errors import UserError
from simex.core.files import write_jsonl
from simex.data.records import Example, load_written

WRITTEN = {"id": "a", "task": "reasoning", "prompt": "1 + 1?", "target": "2"}


def test_what_a_written_example_leaves_out_takes_its_default(tmp_path):
    path = tmp_path / "mine.jsonl"
    write_jsonl(path, [WRITTEN, WRITTEN | {"id": "b", "group": "g", "tokens": 7}])
    one, two = load_written(path)
    assert one == Example(**WRITTEN, group="a", source="mine", license="unknown")
    assert (two.group, two.source) == ("g", "mine")


@pytest.mark.parametrize(
    "record",
    [
        {k: v for k, v in WRITTEN.items() if k != "prompt"},
        {k: v for k, v in WRITTEN.items() if k != "id"},
        WRITTEN | {"target": ""},
        WRITTEN | {"target": 2},
    ],
)
def test_a_record_that_is_no_example_is_refused_with_its_file(record, tmp_path):
    path = tmp_path / "mine.jsonl"
    write_jsonl(path, [record])
    with pytest.raises(UserError, match=r"mine\.jsonl: .* id, task, prompt and target"):
        list(load_written(path))
