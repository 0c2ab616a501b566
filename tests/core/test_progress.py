"""Progress gives every item and readable lines."""

import pytest

from simex.core import progress as progress_module
from simex.core.progress import format_secs, line_under_way, progress


def test_every_item_comes_through_and_the_end_is_told(capsys):
    assert list(progress([1, 2, 3], label="traces", unit="run")) == [1, 2, 3]
    assert capsys.readouterr().err.startswith("traces: 3 run in 0.0 s (")


def test_a_slow_loop_tells_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(progress_module, "SECS_BETWEEN_LINES", 0.0)
    list(progress(iter("abc"), total=3, label="traces", unit="run"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("traces: 1/3 run (33 %), ")
    assert lines[1].startswith("traces: 2/3 run (66 %), ")
    assert len(lines) == 3  # the last item is told by the end


def test_nothing_is_told_of_a_loop_that_was_left(capsys):
    for item in progress([1, 2, 3], label="traces"):
        if item == 2:
            break
    assert capsys.readouterr().err == ""


def test_rate_and_time_left_follow_from_the_elapsed_time():
    # 130 in 10 s is 13 a second; 370 are left: 28.46 s.
    line = line_under_way(130, 500, 10.0, label="traces", unit="run")
    assert line == "traces: 130/500 run (26 %), 13.0 run/s, 28.5 s left"


def test_a_loop_of_unknown_length_has_no_percentage():
    line = line_under_way(130, None, 10.0, label="traces", unit="run")
    assert line == "traces: 130 run, 13.0 run/s"


def test_nothing_done_yet_leaves_the_time_open():
    assert line_under_way(0, 5, 1.0, label="x", unit="it").endswith("? left")


@pytest.mark.parametrize(
    ("secs", "text"),
    [
        (9.54, "9.5 s"),
        (59.96, "1 min 00 s"),
        (245.0, "4 min 05 s"),
        (7380.0, "2 h 03 min"),
    ],
)
def test_durations_are_for_people(secs, text):
    assert format_secs(secs) == text
