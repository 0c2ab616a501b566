"""Compiles one program for one topology and reads off what the compiler knows."""

import time
from collections.abc import Sequence
from typing import Any

import jax

from simex.core.errors import UserError
from simex.plans.compile_process import Request
from simex.plans.hlo import count_work
from simex.plans.programs import Program, make_program
from simex.plans.refusal import gib, parse_refusal
from simex.plans.report import Memory, ProgramReport, Refusal, Work
from simex.plans.stage import RlStage, SftStage
from simex.plans.topology import Topology, make_devices
from simex.sharding.compiles import unwatched
from simex.sharding.mesh import make_mesh


def measure(request: Request) -> ProgramReport:
    """The report; a program that cannot be there gets a refusal, not an exception."""
    devices = make_devices(request.topology)
    stage = request.stage
    try:
        mesh = make_mesh(stage.mesh, devices, decode_together=_decode_together(stage))
        program = make_program(stage, request.program, mesh)
        if not request.compiles:
            memory, work = _memory(program, None), None
        else:
            memory, work = _compile(program, request.topology)
    except UserError as error:
        return _refuse(request, Refusal(reason=str(error)))
    except jax.errors.JaxRuntimeError as error:
        refusal = parse_refusal(str(error))
        if refusal is None:
            raise
        return _refuse(request, refusal)
    return ProgramReport(
        stage=stage.name,
        program=request.program,
        memory=memory,
        work=work,
        refusal=_refuse_beside(memory, request.topology),
    )


def _decode_together(stage: SftStage | RlStage) -> int:
    return (stage.sampler.tensor or 1) if isinstance(stage, RlStage) else 1


def _refuse_beside(memory: Memory, topology: Topology) -> Refusal | None:
    """A program that fits alone, but not with what the run keeps beside it."""
    chip = topology.generation
    if chip is None or memory.needed <= chip.hbm_bytes:
        return None
    beside = ", ".join(memory.beside)
    return Refusal(
        reason=f"needs {gib(memory.needed)} of {gib(chip.hbm_bytes)} together with what "
        f"stays beside it ({beside})",
        needed_bytes=memory.needed,
        available_bytes=round(chip.hbm_bytes),
    )


def _refuse(request: Request, refusal: Refusal) -> ProgramReport:
    return ProgramReport(
        stage=request.stage.name, program=request.program, refusal=refusal
    )


def _compile(program: Program, topology: Topology) -> tuple[Memory, Work]:
    begin = time.monotonic()
    compiled = unwatched(program.function).lower(*program.arguments).compile()
    secs = time.monotonic() - begin
    generation = topology.generation
    counted = count_work(compiled.as_text())
    cost = compiled.cost_analysis() or {}
    return _memory(program, compiled.memory_analysis()), Work(
        matmul_flops=counted.flops,
        once_flops=cost.get("flops", 0.0),
        hbm_bytes=counted.bytes,
        once_bytes=cost.get("bytes accessed", 0.0),
        collective_bytes=counted.collectives,
        compiler_secs=counted.cycles / generation.cycles_per_sec
        if generation and counted.cycles
        else None,
        num_kernels=counted.num_kernels,
        compile_secs=secs,
    )


def _memory(program: Program, analysis: Any) -> Memory:
    """By kind, unpadded, and what the compiler adds; without it the arguments alone."""
    arguments = _by_kind(program.kinds)
    temporaries = outputs = code = peak = 0
    if analysis is not None:
        padding = analysis.argument_size_in_bytes - sum(arguments.values())
        if padding > 0:
            arguments["padding"] = padding
        temporaries = analysis.temp_size_in_bytes
        outputs = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
        code = analysis.generated_code_size_in_bytes
        peak = analysis.peak_memory_in_bytes
    return Memory(
        arguments=arguments,
        temporaries=temporaries,
        outputs=outputs,
        code=code,
        beside=_by_kind(program.beside),
        peak=peak,
    )


def _by_kind(kinds: Sequence[tuple[str, Any]]) -> dict[str, int]:
    return {kind: sum(map(device_bytes, jax.tree.leaves(tree))) for kind, tree in kinds}


def device_bytes(leaf: jax.ShapeDtypeStruct) -> int:
    """Bytes of one device's part of an array."""
    shape = leaf.sharding.shard_shape(leaf.shape)
    size = leaf.dtype.itemsize
    for length in shape:
        size *= length
    return size
