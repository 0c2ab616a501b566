"""From records of self-RLEF to rates, curves over turns and the price of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from simex.evals.intervals import Estimate, mean_with_interval, paired_difference

Records = Sequence[Mapping[str, Any]]  # of `fix_loop.LoopOutcome`
_TESTS = {"right": "", "public": "_public", "hidden": "_hidden"}  # suffixes of rates


def estimate_loop(outcomes: Records) -> dict[str, Estimate]:
    """What the loop changed, each a share of all attempts.

    "single" is the first program, "fixed" the last one. A fix is wrong, then right; a
    break is right, then wrong; on all tests, on the public ones alone ("_public") and
    on the hidden ones alone ("_hidden"), which records of an older simex lack.
    """
    clusters = _clusters(outcomes)
    values = {"single": _at_turn(outcomes, 0), "fixed": _at_turn(outcomes, -1)}
    for tests, suffix in _TESTS.items():
        if any(tests not in o for o in outcomes):
            continue
        before, after = ([o[tests][turn] for o in outcomes] for turn in (0, -1))
        pairs = list(zip(before, after, strict=True))
        values[f"fix_rate{suffix}"] = [float(a and not b) for b, a in pairs]
        values[f"break_rate{suffix}"] = [float(b and not a) for b, a in pairs]
    return {name: mean_with_interval(v, clusters) for name, v in values.items()}


def estimate_loop_gain(outcomes: Records, baseline: Records | None = None) -> Estimate:
    """The last programs against the first, or against another loop's last ones.

    Raises:
      ValueError: the other loop began from other problems.
    """
    if baseline is None:
        other = _at_turn(outcomes, 0)
    elif [o["problem_id"] for o in baseline] == [o["problem_id"] for o in outcomes]:
        other = _at_turn(baseline, -1)
    else:
        raise ValueError("A paired difference needs the same attempts.")
    clusters = _clusters(outcomes)
    return paired_difference(_at_turn(outcomes, -1), other, clusters=clusters)


def turn_curve(outcomes: Records) -> list[Estimate]:
    """The share of right programs, were the loop cut after turn 1, 2, …"""
    clusters = _clusters(outcomes)
    turns = range(len(outcomes[0]["right"]))
    return [mean_with_interval(_at_turn(outcomes, t), clusters) for t in turns]


def mean_cost(outcomes: Records, what: str, *, turn: int = -1) -> float:
    """Mean "samples" or "predictions" of an attempt up to a turn."""
    return sum(o[what][turn] for o in outcomes) / len(outcomes)


def count_changes(outcomes: Records) -> dict[tuple[bool, bool], int]:
    """Attempts by (right before, right after)."""
    pairs = [(bool(o["right"][0]), bool(o["right"][-1])) for o in outcomes]
    both = (True, False)
    return {(b, a): pairs.count((b, a)) for b in both for a in both}


def _clusters(outcomes: Records) -> list[str]:
    """Attempts at problems of one composition are drawn as one; see `intervals`."""
    return [o.get("composition") or o["problem_id"] for o in outcomes]


def _at_turn(outcomes: Records, turn: int) -> list[float]:
    return [float(o["right"][turn]) for o in outcomes]
