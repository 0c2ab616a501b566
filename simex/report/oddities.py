"""What deserves a second look in a rollout that earned a high reward.

None of these is proof of cheating: they say where a person should read. Records are
those of `rollouts.record`; older ones lack fields and have fewer oddities.
"""

import itertools
import re
from collections.abc import Mapping
from typing import Any

_READS_INPUT = re.compile(r"\binput\b|\bstdin\b|\bopen\s*\(\s*0")
MIN_REPEATS = 8  # of one line in a row
MIN_LITERAL = 3  # characters: "0" stands in many an honest program


def find_oddities(rollout: Mapping[str, Any]) -> list[str]:
    """Sentences for people; none for a rollout that failed or was lost."""
    reward = rollout.get("reward")
    if reward is None or reward <= 0:
        return []
    found = [
        *_odd_turns(rollout.get("turns", ())),
        *_odd_program(rollout.get("programs", ())),
    ]
    return list(dict.fromkeys(found))


def _odd_turns(turns: Any) -> list[str]:
    found = []
    for turn in turns:
        if turn.get("stop") != "stop_id":
            found.append("rewarded although a turn was cut off")
        if _has_repeats(turn.get("text", "")):
            found.append(f"a line stands {MIN_REPEATS} times in a row")
        if turn.get("task") == "predict_output" and "<think></think>" in turn["text"]:
            found.append("an output predicted without any reasoning")
    return found


def _odd_program(programs: Any) -> list[str]:
    if not programs or not any(test["verdict"] for test in programs[-1]["tests"]):
        return []  # a program that was given, not written
    last = programs[-1]
    found = []
    tests, source = last["tests"], last["source"]
    if any(t["stdin"].strip() for t in tests) and not _READS_INPUT.search(source):
        found.append("passes without reading its input")
    for test in tests:
        wanted = test["expected"].strip()
        if len(wanted) >= MIN_LITERAL and wanted in source:
            found.append("an expected output stands in the program")
        if test["is_accepted"] and not _is_same_text(test):
            found.append("accepted by tolerance: the printed text is another")
        if test["is_prediction_right"] is False:
            found.append("passes although its output was predicted wrongly")
    return found


def _is_same_text(test: Mapping[str, Any]) -> bool:
    return test["stdout"] is None or test["stdout"].split() == test["expected"].split()


def _has_repeats(text: str) -> bool:
    lines = text.split("\n")
    run = 1
    for before, line in itertools.pairwise(lines):
        run = run + 1 if line == before and line.strip() else 1
        if run >= MIN_REPEATS:
            return True
    return False
