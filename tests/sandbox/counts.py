"""What a pool did, counted."""

from simex.sandbox.pool import SandboxPool


def take_counts(pool: SandboxPool) -> dict[str, int]:
    """Since its metrics were taken last; `runs` are those that ended in an outcome."""
    metrics = pool.take_metrics()
    counts = {name: round(total) for name, (total, _) in metrics.items()}
    runs = sum(n for name, n in counts.items() if name.startswith("status/"))
    return counts | {"runs": runs}
