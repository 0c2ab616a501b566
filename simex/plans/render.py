"""A plan as text."""

from collections.abc import Sequence

from simex.plans.estimate import Estimate
from simex.plans.plan import Plan, PlannedProgram
from simex.plans.refusal import gib
from simex.plans.report import Memory, ProgramReport
from simex.plans.smallest import BY_MODEL, Search


def render_line(report: ProgramReport) -> str:
    """One program as it comes in, for stderr."""
    name = f"{report.stage}: {report.program}"
    if report.refusal is not None:
        return f"{name}: does not fit: {report.refusal.reason}"
    memory, work = report.memory, report.work
    secs = "" if work is None else f", compiled in {work.compile_secs:.0f} s"
    size = "" if memory is None else f" in {gib(memory.total)} a device"
    return f"{name}: fits{size}{secs}"


def render_plan(plan: Plan, *, experiment: str) -> str:
    """All of it."""
    topology, chip = plan.topology, plan.topology.generation
    lines = [f"{experiment} on {topology}: {topology.num_devices} devices"]
    if chip is not None:
        lines[0] += (
            f" of {gib(chip.hbm_bytes)}, {chip.peak_flops / 1e12:.0f} TFLOP/s, "
            f"{chip.hbm_bytes_per_sec / 1e9:.0f} GB/s HBM, "
            f"{chip.ici_bytes_per_sec / 1e9:.0f} GB/s links"
        )
    for program in plan.programs:
        lines += ["", *_render_program(program)]
    for estimate in plan.estimates:
        lines += ["", *_render_estimate(estimate)]
    if plan.search is not None:
        lines += ["", *_render_search(plan.search)]
    if chip is not None:
        lines += ["", *_NOTES]
    return "\n".join(lines)


_NOTES = (
    "A device's numbers. Ranges: exchanges between chips after everything else, and",
    "wholly hidden behind it. Matrix products by the compiler's own cycles, attention",
    "kernels at the chip's peak, loops as often as they run (the compiler's cost analysis",
    "counts their bodies once): what the compiled programs can reach, not what was seen.",
)


def _render_program(program: PlannedProgram) -> list[str]:
    report = program.report
    lines = [render_line(report)]
    if report.memory is not None:
        lines += _render_memory(report.memory)
    work, times = report.work, program.times
    if work is None:
        return lines
    per_device = program.work.flops / program.topology.num_devices
    exchanged = sum(work.collective_bytes.values())
    kernels = f" and {work.num_kernels:.0f} kernels" if work.num_kernels else ""
    lines += [
        (
            f"  FLOPs     {_si(work.matmul_flops)} in matrix products{kernels}; the model "
            f"needs {_si(per_device)} (cost analysis: {_si(work.once_flops)})"
        ),
        (
            f"  bytes     {gib(work.hbm_bytes)} of HBM (cost analysis: "
            f"{gib(work.once_bytes)}), {gib(exchanged)} from other devices"
        ),
    ]
    if times is not None:
        compiler = (
            "" if times.compiler is None else f"{_secs(times.compiler)} compiler, "
        )
        lines.append(
            f"  seconds   {compiler}{_secs(times.matmul)} FLOPs, {_secs(times.hbm)} HBM, "
            f"{_secs(times.links)} links: {_range((times.overlapped, times.in_turn))}"
        )
    if program.mfu_range is not None:
        low, high = program.mfu_range
        lines.append(f"  MFU       {100 * low:.1f} to {100 * high:.1f} %")
    return lines


def _render_memory(memory: Memory) -> list[str]:
    parts = [
        *memory.arguments.items(),
        ("activations and temporaries", memory.temporaries),
        ("outputs", memory.outputs),
        ("code", memory.code),
    ]
    lines = [f"  memory    {gib(memory.total)}: {_join(parts)}"]
    if memory.beside:
        lines.append(f"  beside    {_join(list(memory.beside.items()))}")
    return lines


def _render_estimate(estimate: Estimate) -> list[str]:
    lines = [
        f"{estimate.stage}: a train step in {_range(sorted(estimate.step_secs))}",
        f"  assumes   {estimate.assumes}",
        f"  tokens/s  {_count(estimate.trained_tokens_per_sec)} trained on",
        (
            f"  MFU       {100 * estimate.mfu[0]:.1f} to {100 * estimate.mfu[1]:.1f} % of "
            "the updates"
        ),
    ]
    if estimate.rollouts_per_sec is not None:
        lines.append(f"  rollouts/s  {_count(estimate.rollouts_per_sec)}")
        lines.append(f"  sampling  {_range(sorted(estimate.sample_secs))} of the step")
    return lines


def _render_search(search: Search) -> list[str]:
    if search.is_unknown:
        found = "unknown"
        how = "what was refused here has no known size; --smallest asks the compiler"
    else:
        found, how = search.smallest or "none", _how_found(search)
    lines = [f"Smallest slice that fits: {found} ({how})"]
    for candidate in search.candidates:
        needs = "" if candidate.bytes_needed is None else gib(candidate.bytes_needed)
        lines.append(
            f"  {candidate.topology:12} {needs:>10}  {candidate.why_not or ''}"
        )
    return lines


def _how_found(search: Search) -> str:
    return (
        "compiled"
        if search.is_compiled
        else f"{BY_MODEL}, an upper bound; --smallest asks the compiler"
    )


def _join(parts: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {gib(size)}" for name, size in parts if size)


def _range(secs: Sequence[float]) -> str:
    low, high = secs
    return _secs(low) if low == high else f"{_secs(low)} to {_secs(high)}"


def _secs(secs: float) -> str:
    return f"{secs:.2f} s" if secs >= 1 else f"{1000 * secs:.3g} ms"


def _count(pair: tuple[float, float]) -> str:
    return f"{pair[0]:,.4g} to {pair[1]:,.4g}"


def _si(number: float) -> str:
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g} "
