"""results.json: what a run found, in a form that another program reads.

A dotted name is a path: ``prediction.rl`` is ``results["prediction"]["rl"]``, and holds
``{"value", "low", "high", "n", "stderr", "problems"}``.
"""

import json
import math
import pathlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simex.core.errors import UserError
from simex.core.files import write_atomically

REQUIRED = (
    "prediction.direct_sft",
    "prediction.nlex_sft",
    "prediction.rl",
    "solve.sft_pass_at_1",
    "solve.rl_pass_at_1",
    "solve.pass_at_8",
    "best_at_8.simulate",
    "best_at_8.oracle",
    "best_at_8.majority",
    "best_at_8.shortest",
    "self_rlef.single",
    "self_rlef.fixed",
    "self_rlef.resample",
    "self_rlef.fix_rate",
    "self_rlef.break_rate",
)
"""The estimates that every whole run reports. A file may hold more."""

ESTIMATE_KEYS = ("value", "low", "high", "n", "stderr", "problems")
_OTHER_KEYS = ("seconds", "seed", "device", "backend", "tables")

Estimates = Mapping[str, Mapping[str, float]]


def save_results(
    path: pathlib.Path,
    estimates: Estimates,
    *,
    seconds: Mapping[str, float],
    seed: int,
    device: str,
    backend: str,
    required: Sequence[str] = REQUIRED,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> None:
    """Writes results.json, whole or not at all.

    Args:
        path: where to.
        estimates: ``{"prediction.rl": {"value": .5, "low": .4, "high": .6, "n": 500,
            "stderr": .05, "problems": 250}}``; every name of `required`, any others.
        seconds: wall seconds of each stage.
        seed: the run's seed.
        device: the accelerators, such as "cpu x 2".
        backend: the sandbox backend that judged the programs.
        required: names that must be there.
        tables: what else the report shows, by name: rows of plain values.

    Raises UserError that lists every estimate that is missing or malformed.
    """
    if faults := [*_missing(estimates, required), *_malformed(estimates)]:
        raise UserError(
            f"{path} needs a whole set of estimates, each with a finite value, low <= "
            f"high, 1 <= problems <= n; got: {'; '.join(faults)}. Run the evaluation stages of "
            "this experiment before its report."
        )
    results: dict[str, Any] = {}
    for name, estimate in estimates.items():
        _put(results, name, {key: estimate[key] for key in ESTIMATE_KEYS})
    results |= {
        "seconds": {stage: round(secs, 3) for stage, secs in seconds.items()},
        "seed": seed,
        "device": device,
        "backend": backend,
        "tables": {name: list(rows) for name, rows in (tables or {}).items()},
    }
    with write_atomically(path) as file:
        json.dump(results, file, indent=2, allow_nan=False)
        file.write("\n")


def load_estimates(path: pathlib.Path) -> dict[str, dict[str, float]]:
    """The estimates of a results.json by their dotted names.

    One that lacks a figure, as in a file of an older simex, is left out with a warning.
    Raises UserError when the file is missing or is not JSON.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} must exist; it does not. Run the report stage first.")
    except ValueError as error:
        raise UserError(f"{path} must be JSON; {error}. Run the report stage again.")
    found = dict(_estimates_in(results, prefix=""))
    whole = {name: e for name, e in found.items() if set(ESTIMATE_KEYS) <= set(e)}
    if left_out := sorted(set(found) - set(whole)):
        lacking = sorted(
            {key for n in left_out for key in ESTIMATE_KEYS if key not in found[n]}
        )
        warnings.warn(
            f"{path}: {len(left_out)} of {len(found)} estimates are left out, since they "
            f"lack {', '.join(lacking)} ({', '.join(left_out[:3])}, ...): an older simex "
            "wrote them. Run the report stage of that run again.",
            stacklevel=2,
        )
    return whole


def _missing(estimates: Estimates, required: Sequence[str]) -> Iterator[str]:
    for name in required:
        if name not in estimates:
            yield f"{name} is missing"


def _malformed(estimates: Estimates) -> Iterator[str]:
    for name, estimate in estimates.items():
        # A name that is also the beginning of another would be both leaf and branch.
        if any(other.startswith(name + ".") for other in estimates):
            yield f"{name} is also the beginning of another name"
        if name.split(".")[0] in _OTHER_KEYS:
            yield f"{name} begins with a name that the file keeps for itself"
        values = [estimate.get(key) for key in ESTIMATE_KEYS]
        if not _is_estimate(*values):
            yield f"{name} is {dict(estimate)}"


def _is_estimate(
    value: Any, low: Any, high: Any, n: Any, stderr: Any, problems: Any
) -> bool:
    numbers = (value, low, high, n, stderr, problems)
    if not all(isinstance(x, (int, float)) and math.isfinite(x) for x in numbers):
        return False
    return low <= high and 1 <= problems <= n and stderr >= 0


def _put(results: dict[str, Any], name: str, estimate: dict[str, float]) -> None:
    *parents, leaf = name.split(".")
    for parent in parents:
        results = results.setdefault(parent, {})
    results[leaf] = estimate


def _estimates_in(
    branch: Mapping[str, Any], *, prefix: str
) -> Iterator[tuple[str, dict[str, float]]]:
    for name, inner in branch.items():
        if not isinstance(inner, Mapping):
            continue
        if "value" in inner and not isinstance(inner["value"], Mapping):
            yield prefix + name, dict(inner)
        else:
            yield from _estimates_in(inner, prefix=f"{prefix}{name}.")
