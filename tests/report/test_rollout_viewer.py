"""The rollout viewer: hostile text stays text, nothing is fetched, filters filter."""

import json

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.core.files import write_jsonl
from simex.main import main
from simex.report.rollout_page import render_rollout_page, write_rollout_page
from simex.report.rollout_records import diff_lines, make_step_content
from simex.report.rollout_viewer import choose_step, find_steps, render_text
from tests.report.browser import CHROMIUM, Browser
from tests.report.recorded import (
    FAILED,
    HOSTILE,
    MIXED,
    ODD,
    hostile_record,
    make_rollout,
    make_test,
    make_turn,
    record,
)


def test_untrusted_text_is_escaped_everywhere_on_the_page():
    page = render_rollout_page([hostile_record()], title=HOSTILE)
    assert "<script" not in page and "<img" not in page
    assert page.count("</style>") == 1 and "\x1b" not in page and "\x00" not in page
    assert "&lt;script&gt;" in page and "{{ 7 * 7 }}" in page
    assert "default-src 'none'" in page


def test_the_page_needs_nothing_from_elsewhere():
    page = render_rollout_page([MIXED, FAILED], title="step")
    for word in ("http:", "https:", "src=", "url(", "@import", "<link", "<script"):
        assert word not in page


def test_a_step_counts_what_its_filters_find():
    step = make_step_content([MIXED, FAILED, ODD], title="step")
    assert step.counts == {
        "truncated": 1,
        "all_failed": 2,
        "predicted_wrong": 1,
        "odd": 1,
    }
    assert step.objectives == ("solve", "other")


def test_tokens_are_coloured_by_mask_advantage_and_how_likely_they_were():
    foreign = make_turn(author="nlex/train_sft")
    step = make_step_content(
        [
            MIXED,
            record(make_rollout(1.0, turns=(foreign,)), make_rollout(-1.0)),
        ],
        title="step",
    )
    turn = step.groups[0].rollouts[0].turns[0]
    # -2 ln p of -0.1, -5 and -0.2: 0.2, 10 and 0.4, at most 9.
    assert [t.surprise for t in turn.tokens] == [0, 9, 0]
    assert [t.text for t in turn.tokens] == ["a", "b", "∎"]
    assert (turn.advantage, turn.advantage_level) == (1.0, 1.0)
    assert step.groups[0].rollouts[1].turns[0].advantage_level == 0.5
    assert not step.groups[1].rollouts[0].turns[0].is_trained


def test_the_gap_between_trainer_and_sampler_is_a_colour_where_it_was_recorded():
    trained = np.array([-0.1, -5.0, -0.3], np.float32)
    one = record(make_rollout(1.0), trainer_logprobs=lambda turn: trained)
    step = make_step_content([one], title="step")
    tokens = step.groups[0].rollouts[0].turns[0].tokens
    # 0.1 is three powers of ten above 1e-4: level 1 + 6.
    assert [token.gap for token in tokens] == [0, 0, 7] and step.has_gaps
    assert "by-gap" in render_rollout_page([one], title="step")
    assert 'id="by-gap"' not in render_rollout_page([MIXED], title="step")


def test_printed_and_predicted_stand_beside_what_is_true():
    test = make_test(
        "wrong_output",
        stdout="1\n5\n",
        expected="1\n3\n",
        is_predicted=True,
        predicted="1\n3",
        is_prediction_right=False,
    )
    step = make_step_content([record(make_rollout(-1.0, tests=(test,)))], title="s")
    shown = step.groups[0].rollouts[0].programs[0].tests[0]
    assert shown.printed == ((" ", "1"), ("-", "3"), ("+", "5"))
    assert shown.predicted == ((" ", "1"), ("-", "5"), ("+", "3"))
    assert shown.prediction == "wrong" and not shown.is_accepted
    assert diff_lines("1\n", "1\n") == ((" ", "1"),)


def test_what_is_left_out_of_a_long_output_is_said():
    rows = diff_lines("1\n" * 500, "1\n" * 499 + "2\n")
    assert rows[:400] == ((" ", "1"),) * 400
    assert rows[400:] == (("-", "… 100 more lines"), ("+", "… 100 more lines"))
    assert len(diff_lines("1\n" * 400, "1\n" * 400)) == 400


def test_a_record_of_an_earlier_version_can_still_be_looked_at():
    turn = {
        "task": "solve",
        "text": "old",
        "stop": "stop_id",
        "prompt_ids": [2],
        "completion_ids": [4],
        "logprobs": [-0.1],
    }
    rollout = {"reward": 1.0, "parts": {}, "notes": {}, "turns": [turn]}
    old = {"objective": "o", "item_id": "i", "is_flat": True, "rollouts": [rollout]}
    assert "old" in render_rollout_page([old], title="step")


@pytest.fixture
def run_folder(tmp_path):
    for step, records in enumerate(([MIXED], [MIXED, FAILED, hostile_record()])):
        path = tmp_path / "train_rl" / "rollouts" / f"step_{step:05d}.jsonl"
        safe = json.loads(json.dumps(records).replace("\\ud800", "?"))
        write_jsonl(path, safe)
    return tmp_path


def test_simex_view_shows_the_last_step_and_writes_its_page(run_folder, capsys):
    assert main(["view", str(run_folder)]) == 0
    out = capsys.readouterr().out
    assert "train_rl, train step 1" in out and "group 1  other" in out
    assert "\x1b" not in out and "\\x1b[31m" in out
    page = run_folder / "train_rl" / "rollouts" / "step_00001.html"
    assert page.exists() and not page.with_name("step_00000.html").exists()
    assert main(["view", str(run_folder), "--all-pages"]) == 0
    assert page.with_name("step_00000.html").exists()


def test_simex_view_shows_all_of_a_rollout(run_folder, capsys):
    words = ["view", str(run_folder), "--step", "0", "--group", "0", "--rollout", "1"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "=== #1 reward -1 ===" in out and "| print(input())" in out
    assert "  - 3\n  + 0\n" in out and "CUT OFF" in out


def test_what_cannot_be_shown_is_refused_with_what_there_is(run_folder):
    with pytest.raises(UserError, match="these were: 0, 1"):
        choose_step(find_steps(run_folder), 7)
    with pytest.raises(UserError, match="groups 0 to 2"):
        render_text(find_steps(run_folder)[-1], group=3)
    with pytest.raises(UserError, match="rollouts of stage x"):
        find_steps(run_folder, stage="x")


@pytest.fixture
def browser(tmp_path):
    if CHROMIUM is None:
        pytest.skip("needs chromium, to see what the page really does")
    opened = []

    def open_page(records):
        page = tmp_path / "step.html"
        write_rollout_page(page, records, title="step")
        opened.append(Browser(page, tmp_path / "profile"))
        return opened[0]

    yield open_page
    for one in opened:
        one.close()


@pytest.mark.slow
def test_in_a_browser_filters_and_colours_work_and_nothing_runs(browser):
    hostile = json.loads(json.dumps(hostile_record()).replace("\\ud800", "?"))
    seen = browser([MIXED, FAILED, ODD, hostile])
    # 2 rollouts in three groups, and the hostile one; no element came from its text.
    assert seen.visible(".rollout") == 7
    assert seen.evaluate("document.title") == "step"
    assert seen.evaluate("document.querySelectorAll('script, img').length") == 0

    seen.click("only-truncated")
    assert (seen.visible(".rollout"), seen.visible(".group")) == (1, 1)
    seen.click("only-truncated")
    seen.click("only-all_failed")
    assert seen.visible(".rollout") == 2
    seen.click("only-all_failed")
    seen.click("only-predicted_wrong")
    assert seen.visible(".rollout") == 1
    seen.click("only-predicted_wrong")
    seen.click("only-odd")
    assert seen.visible(".rollout") == 2  # the odd one, and the hostile one
    seen.click("only-odd")
    seen.click("objective-1")
    assert (seen.visible(".rollout"), seen.visible(".group")) == (2, 1)
    seen.click("objective-all")

    token, other = ".tokens.up span.s0", ".tokens.up span.s9"
    masked = seen.background(token)
    assert masked == seen.background(other) != "rgba(0, 0, 0, 0)"
    seen.click("by-advantage")
    assert seen.background(token) != masked
    assert seen.background(token) != seen.background(".tokens.down span")
    seen.click("by-logprob")
    assert seen.background(token) != seen.background(other)
    # Side by side: the two columns of a group begin at one height.
    tops = seen.evaluate(
        "[...document.querySelector('.rollouts').children]"
        ".map(e => e.getBoundingClientRect().top).join()"
    )
    assert len(set(tops.split(","))) == 1
