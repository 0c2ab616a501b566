"""JSON-lines files that are continued, and metrics logs that are mended."""

import json
import os

import pytest

from simex.core.continued import continue_blocks, continue_jsonl
from simex.core.errors import UserError
from simex.core.metrics import MetricsLog, mean_values


def numbers_from(start):
    return ({"n": n} for n in range(start, 5))


def read(path):
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


def test_all_records_are_written_under_the_final_name(tmp_path):
    continue_jsonl(tmp_path / "a.jsonl", numbers_from)
    assert read(tmp_path / "a.jsonl") == [0, 1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.jsonl"]


def test_whole_lines_of_a_stopped_job_are_kept_and_a_torn_one_is_not(tmp_path):
    partial = tmp_path / "a.jsonl.partial"
    partial.write_text('{"n": 0}\n{"n": 1}\n{"n"')
    asked = []

    def records_from(start):
        asked.append(start)
        return numbers_from(start)

    continue_jsonl(tmp_path / "a.jsonl", records_from)
    assert asked == [2] and read(tmp_path / "a.jsonl") == [0, 1, 2, 3, 4]


def test_a_failure_leaves_what_was_written(tmp_path):
    def records_from(start):
        yield from ({"n": n} for n in range(start, 3))
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        continue_jsonl(tmp_path / "a.jsonl", records_from)
    assert not (tmp_path / "a.jsonl").exists()
    continue_jsonl(tmp_path / "a.jsonl", numbers_from)
    assert read(tmp_path / "a.jsonl") == [0, 1, 2, 3, 4]


def test_a_log_drops_the_steps_that_are_about_to_be_written_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in range(4):
        log.write(step, {"loss": 1.0})
    with open(path, "a") as file:
        file.write('{"step": 4, "lo')  # torn by a kill
    MetricsLog(path, first_step=2).write(2, {"loss": 0.5})
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps == [0, 1, 2]


def test_a_kill_while_a_log_is_mended_loses_no_line(tmp_path, monkeypatch):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in range(3):
        log.write(step, {"loss": 1.0})

    def kill(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        MetricsLog(tmp_path / "metrics.jsonl", first_step=2)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_value_that_is_not_finite_stops_the_run_with_its_name(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.raises(UserError, match="loss must stay finite; it is nan at train"):
        log.write(7, {"loss": float("nan")})


def test_a_metric_is_its_total_over_its_weight():
    assert mean_values({"a": (3.0, 2.0), "b": (0.0, 0.0)}) == {"a": 1.5, "b": 0.0}


def make_pairs(calls):
    def make(place, block):
        calls.append((place, list(block)))
        return [{"item": item, "half": half} for item in block for half in (0, 1)]

    return make


def test_blocks_begin_at_the_same_places_whoever_continues(tmp_path):
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    items = list("abcde")
    settings = {"block": 2, "label": "pairs", "per_item": 2}
    continue_blocks(whole, items, make_pairs([]), **settings)
    lines = whole.read_text().splitlines(keepends=True)
    assert len(lines) == 10
    for done in range(10):
        partial = tmp_path / "torn.jsonl.partial"
        partial.write_text("".join(lines[:done]) + '{"item"')
        calls = []
        continue_blocks(torn, items, make_pairs(calls), **settings)
        assert torn.read_text() == whole.read_text()
        assert calls[0][0] == done // 4 * 2  # the block that was under way, whole
        torn.unlink()
