"""What a run measures of itself: the sandbox, data positions, speed."""

from collections.abc import Mapping, Sequence
from typing import Any

from simex.rl.collection import Collected
from simex.rl.group_metrics import measure_groups
from simex.rl.selection import Selection
from simex.rl.stream import Taken
from simex.rollouts.measures import measure_rollouts


def measure_selection(selection: Selection) -> dict[str, float]:
    """What was trained on, and what was left out."""
    trained = [
        (turn, advantage)
        for one in selection.chosen
        for turn, advantage in zip(one.rollout.turns, one.advantages, strict=True)
        if turn.is_trained
    ]
    with_signal = sum(1 for one in selection.chosen if any(one.advantages))
    numbers = {
        "batch/rollouts": selection.num_counted,
        "batch/trained_share": with_signal / max(selection.num_counted, 1),
        "batch/tokens_trained": sum(len(turn.completion_ids) for turn, _ in trained),
        "batch/denominator": selection.denominator,
        "batch/masked_overlong": selection.num_overlong,
        "batch/masked_gibberish": selection.num_gibberish,
        "batch/groups_dropped": selection.num_groups_dropped,
        "batch/share_of_unsolved": selection.share_of_unsolved,
        "batch/net_push": selection.net_push,
    }
    return {name: float(number) for name, number in numbers.items()}


def measure_batch(
    taken: Taken, *, step: int, num_items: Mapping[str, int]
) -> dict[str, float]:
    """The groups, how old they are, and where in the data they end."""
    batch = taken.batch
    values = measure_groups(batch.groups) | measure_rollouts(batch.groups)
    for name, position in batch.cursor.positions.items():
        values[f"{name}/data_position"] = float(position)
        values[f"{name}/epoch"] = position / num_items[name]
    return values | {
        "batch/refill_rounds": float(batch.num_refills),
        "batch/groups_unfilled": float(batch.num_unfilled),
        "staleness/steps": float(step - batch.version),
        "staleness/dropped_rollouts": float(taken.num_dropped),
    }


def measure_speed(batch: Collected, step_secs: float) -> dict[str, float]:
    """Sampled tokens and rollouts over the time of the whole step."""
    rollouts = [r for group in batch.groups for r in group.rollouts]
    secs = max(step_secs, 1e-9)
    return {
        "speed/tokens_per_sec": sum(r.num_tokens for r in rollouts) / secs,
        "speed/rollouts_per_sec": len(rollouts) / secs,
    }


class SandboxMeter:
    """What the pool did since it was asked last, as "sandbox/…" numbers.

    They are the means of what its `take_metrics` gives, (total, weight) by name.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._missed = 0
        self.take()  # what was before the run is not of the run

    def take(self) -> dict[str, float]:
        """The figures since the last call."""
        missed = getattr(self._pool, "num_missed", 0)
        since, self._missed = missed - self._missed, missed
        pairs: Mapping[str, Sequence[float]] = self._pool.take_metrics()
        figures = {f"sandbox/{name}": t / w for name, (t, w) in pairs.items() if w}
        return figures | {"sandbox/deadlines_missed": float(since)}
