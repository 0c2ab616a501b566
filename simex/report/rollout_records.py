"""From the JSON records of a train step to what the viewer shows.

Records are those of `rollouts.record`. Earlier ones lack fields; what is absent is
shown as absent.
"""

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from simex.report.oddities import find_oddities
from simex.report.rollout_content import (
    ALL_FAILED,
    ODD,
    PREDICTED_WRONG,
    TRUNCATED,
    GroupContent,
    ProgramContent,
    RolloutContent,
    StepContent,
    TestContent,
    Token,
    TurnContent,
)

MAX_DIFF_LINES = 400


def make_step_content(
    records: Sequence[Mapping[str, Any]], *, title: str
) -> StepContent:
    """What the records of one train step show."""
    objectives = tuple(dict.fromkeys(str(r["objective"]) for r in records))
    turns = [t for g in records for r in g["rollouts"] for t in r["turns"]]
    largest = max((abs(t.get("advantage") or 0.0) for t in turns), default=0.0)
    groups = tuple(_make_group(r, objectives, largest or 1.0) for r in records)
    marks = [mark for g in groups for r in g.rollouts for mark in r.marks]
    return StepContent(
        title=title,
        objectives=objectives,
        groups=groups,
        counts={
            mark: marks.count(mark)
            for mark in (TRUNCATED, ALL_FAILED, PREDICTED_WRONG, ODD)
        },
        has_gaps=any("trainer_logprobs" in t for t in turns),
    )


def _make_group(
    record: Mapping[str, Any], objectives: Sequence[str], largest: float
) -> GroupContent:
    rollouts = record["rollouts"]
    valid = [r for r in rollouts if r["reward"] is not None]
    passed = sum(bool(r["parts"].get("passed", r["reward"] > 0)) for r in valid)
    has_failed = bool(valid) and not passed
    rewards = ", ".join(_number(r["reward"]) for r in rollouts)
    is_equal = len({r["reward"] for r in valid}) < 2
    statements = [r.get("notes", {}).get("statement", "") for r in rollouts]
    return GroupContent(
        objective=str(record["objective"]),
        objective_number=objectives.index(str(record["objective"])),
        item_id=str(record["item_id"]),
        statement=next(filter(None, statements), ""),
        summary=f"{passed} of {len(rollouts)} passed; rewards {rewards}"
        + ("; all equal" if is_equal else ""),
        rollouts=tuple(
            _make_rollout(r, number=n, has_failed_group=has_failed, largest=largest)
            for n, r in enumerate(rollouts)
        ),
    )


def _make_rollout(
    record: Mapping[str, Any], *, number: int, has_failed_group: bool, largest: float
) -> RolloutContent:
    oddities = find_oddities(record)
    marks = [
        (TRUNCATED, any(t["stop"] != "stop_id" for t in record["turns"])),
        (ALL_FAILED, has_failed_group),
        (PREDICTED_WRONG, _is_predicted_wrong(record)),
        (ODD, bool(oddities)),
    ]
    facts = [record.get("end", "")]
    if record.get("refusals"):
        facts.append("refused: " + ", ".join(record["refusals"]))
    facts += [f"{k} {_number(v)}" for k, v in record["parts"].items()]
    notes = {k: v for k, v in record.get("notes", {}).items() if v and k != "statement"}
    return RolloutContent(
        title=f"#{number} reward {_number(record['reward'])}",
        facts=" · ".join(filter(None, facts)),
        notes=notes,
        oddities=tuple(oddities),
        marks=tuple(mark for mark, has in marks if has),
        is_good=(record["reward"] or 0) > 0,
        turns=tuple(_make_turn(t, largest) for t in record["turns"]),
        programs=tuple(
            _make_program(p, n) for n, p in enumerate(record.get("programs", ()))
        ),
    )


def _is_predicted_wrong(record: Mapping[str, Any]) -> bool:
    tests = [t for p in record.get("programs", ()) for t in p["tests"]]
    return any(t["is_prediction_right"] is False for t in tests)


def _make_turn(record: Mapping[str, Any], largest: float) -> TurnContent:
    advantage = record.get("advantage")
    ids = record["completion_ids"]
    facts = [
        f"{record.get('num_tokens', len(ids))} tokens",
        "" if record["stop"] == "stop_id" else "CUT OFF",
        _fact("by", record.get("author"), unless="policy"),
        _fact("policy of step", record.get("policy_version")),
        _fact("advantage", advantage),
        _fact("credit", record.get("credit"), unless=1.0),
        _fact("own reward", record.get("reward")),
    ]
    return TurnContent(
        task=record["task"],
        facts=" · ".join(filter(None, facts)),
        prompt=record.get("prompt", ""),
        tokens=tuple(_make_tokens(record)),
        is_trained=record.get("is_trained", True),
        advantage=advantage or 0.0,
        advantage_level=round(abs(advantage or 0.0) / largest, 3),
    )


def _make_tokens(record: Mapping[str, Any]) -> list[Token]:
    logprobs = record["logprobs"]
    # Without texts of tokens the whole completion is one piece.
    if "tokens" not in record:
        return [Token(text=record["text"], about="", surprise=0, gap=0)]
    trained = record.get("trainer_logprobs", [None] * len(logprobs))
    tokens = []
    for text, i, logprob, other in zip(
        record["tokens"], record["completion_ids"], logprobs, trained, strict=True
    ):
        gap = 0.0 if other is None else abs(other - logprob)
        about = f"id {i}, logprob {logprob:.4g}"
        about += "" if other is None else f", trainer's {other:.4g}, gap {gap:.2g}"
        tokens.append(
            Token(text=text, about=about, surprise=_surprise(logprob), gap=_gap(gap))
        )
    if left_out := record.get("num_left_out", 0):
        note = f"\n… {left_out:,} tokens left out …\n"
        middle = Token(text=note, about="", surprise=0, gap=0)
        tokens.insert(len(tokens) // 2, middle)
    if record["stop"] == "stop_id" and tokens and not tokens[-1].text:
        tokens[-1] = dataclasses.replace(tokens[-1], text="∎")
    return tokens


def _surprise(logprob: float) -> int:
    """Level 9 from a probability of 1 in 90 on: −2 ln p, rounded down."""
    return min(9, int(-2 * min(logprob, 0.0)))


def _gap(gap: float) -> int:
    """Level 0 below 1e-4, then one more for each half power of ten."""
    return 0 if gap < 1e-4 else min(9, 1 + int(2 * math.log10(gap / 1e-4)))


def _make_program(record: Mapping[str, Any], number: int) -> ProgramContent:
    feedback = record.get("feedback", "")
    shown = f"; feedback shown: {feedback}" if feedback else ""
    return ProgramContent(
        title=f"Program {number}{shown}",
        source=record["source"],
        fault=record.get("fault", ""),
        tests=tuple(_make_test(t, n) for n, t in enumerate(record["tests"])),
    )


def _make_test(record: Mapping[str, Any], number: int) -> TestContent:
    stdout, verdict = record["stdout"], record["verdict"]
    printed: tuple[tuple[str, str], ...] = ()
    if verdict and stdout is not None:
        printed = diff_lines(record["expected"], stdout)
    predicted: tuple[tuple[str, str], ...] = ()
    prediction = ""
    if record["is_predicted"]:
        prediction = _judge_prediction(record)
        predicted = diff_lines(stdout or "", record["predicted"] or "")
    kind = "public" if record["visibility"] == "public" else "hidden"
    return TestContent(
        title=f"Test {number}, {kind}" + (f": {verdict}" if verdict else ""),
        is_accepted=record["is_accepted"] or prediction == "right",
        prediction=prediction,
        stdin=record["stdin"],
        printed=printed,
        predicted=predicted,
        stderr=record["stderr"],
    )


def _judge_prediction(record: Mapping[str, Any]) -> str:
    if record["predicted"] is None:
        return "refused"
    is_right = record["is_prediction_right"]
    return "no truth" if is_right is None else "right" if is_right else "wrong"


def diff_lines(wanted: str, found: str) -> tuple[tuple[str, str], ...]:
    """Lines of both texts: ("-", only wanted), ("+", only found), (" ", in both).

    Example: ``diff_lines("1\\n2\\n", "1\\n3\\n")`` is (" ", "1"), ("-", "2"), ("+", "3").
    """
    whole = [text.rstrip("\n").split("\n") for text in (wanted, found)]
    old, new = (lines[:MAX_DIFF_LINES] for lines in whole)
    rows: list[tuple[str, str]] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            rows += [(" ", line) for line in old[a:b]]
        else:
            rows += [("-", line) for line in old[a:b]]
            rows += [("+", line) for line in new[c:d]]
    for mark, lines in zip("-+", whole, strict=True):
        if len(lines) > MAX_DIFF_LINES:
            rows.append((mark, f"… {len(lines) - MAX_DIFF_LINES} more lines"))
    return tuple(rows)


def _number(value: float | None) -> str:
    return "lost" if value is None else f"{value:.3g}"


def _fact(name: str, value: object, *, unless: object = None) -> str:
    if value is None or value == unless:
        return ""
    return f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
