"""One line a train step for people: how far, how well, how long still."""

from collections.abc import Mapping, Sequence

from simex.core.progress import format_secs

BAR_WIDTH = 12


def render_line(
    label: str,
    step: int,
    num_steps: int,
    *,
    objectives: Sequence[str],
    values: Mapping[str, float],
    secs_left: float,
) -> str:
    """The line of a train step that is done.

    Example: ``train_rl [####        ] 4/12 · solve +0.25, 62 % right · entropy 0.31 ·
    kl 2e-04 · 3.1 s, 24.8 s left`` (as one line).
    """
    done = step + 1
    filled = BAR_WIDTH * done // max(num_steps, 1)
    bar = "#" * filled + " " * (BAR_WIDTH - filled)
    parts = [f"{label} [{bar}] {done}/{num_steps}"]
    for name in objectives:
        if f"{name}/reward" in values:
            right = 100 * values[f"{name}/passed"]
            parts.append(f"{name} {values[f'{name}/reward']:+.2f}, {right:.0f} % right")
    if "policy/entropy" in values:
        parts.append(f"entropy {values['policy/entropy']:.2f}")
        parts.append(f"kl {values['policy/approx_kl']:.0e}")
    else:
        parts.append("no update: nothing to learn from")
    if values.get("staleness/steps"):
        parts.append(f"{values['staleness/steps']:.0f} stale")
    parts.append(
        f"{format_secs(values['time/step_secs'])}, {format_secs(secs_left)} left"
    )
    return " · ".join(parts)
