"""Work is counted in compiled programs, loops as often as they run."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from simex.plans.hlo import count_work, trip_count
from simex.plans.hlo_text import parse_module, parse_shapes
from simex.sharding.mesh import MeshConfig, make_mesh

# A loop in the form of a TPU's compiler: no trip count is written, the body was unrolled
# once (its counter grows by 2), an exchange stands in the three fusions of its start, the
# work beside it and its end, and a kernel's note spans lines, one of which begins with }.
LOOP = """\
HloModule m, is_scheduled=true

%start (p.0: bf16[8,64]) -> bf16[64,64] {
  %p.0 = bf16[8,64]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %ag.0 = bf16[64,64]{1,0:T(8,128)(2,1)S(1)} all-gather(%p.0), channel_id=7, \
replica_groups=mesh['axis_0'=8,'axis_1'=2] {'axis_0'}, dimensions={0}
}

%work (p.1: bf16[16,64], p.2: bf16[64,64], p.3: bf16[8,64]) -> f32[16,64] {
  %p.1 = bf16[16,64]{1,0:T(8,128)(2,1)} parameter(0)
  %p.2 = bf16[64,64]{1,0:T(8,128)(2,1)} parameter(1)
  %p.3 = bf16[8,64]{1,0:T(8,128)(2,1)} parameter(2)
  %ag.1 = bf16[64,64]{1,0:T(8,128)(2,1)S(1)} all-gather(%p.3), channel_id=7, \
replica_groups=mesh['axis_0'=8,'axis_1'=2] {'axis_0'}, dimensions={0}
  ROOT %conv.0 = f32[16,64]{1,0:T(8,128)} convolution(%p.1, %p.2), dim_labels=bf_io->bf
}

%body (arg.0: (s32[], bf16[16,64], bf16[64,64], bf16[8,64])) -> (s32[], bf16[16,64], \
bf16[64,64], bf16[8,64]) {
  %two = s32[]{:T(128)} constant(2)
  %arg.0 = (s32[]{:T(128)}, bf16[16,64]{1,0}, bf16[64,64]{1,0}, bf16[8,64]{1,0}) \
parameter(0)
  %i.0 = s32[]{:T(128)} get-tuple-element(%arg.0), index=0
  %x.0 = bf16[16,64]{1,0:T(8,128)(2,1)} get-tuple-element(%arg.0), index=1
  %w.0 = bf16[64,64]{1,0:T(8,128)(2,1)S(1)} get-tuple-element(%arg.0), index=2
  %s.0 = bf16[8,64]{1,0:T(8,128)(2,1)S(1)} get-tuple-element(%arg.0), index=3
  %begin = bf16[64,64]{1,0:T(8,128)(2,1)S(1)} fusion(%s.0), kind=kLoop, calls=%start
  %y.0 = f32[16,64]{1,0:T(8,128)} fusion(%x.0, %w.0, %s.0), kind=kOutput, calls=%work, \
backend_config={"window_config":{"estimated_cycles":"100","x":"1"}}
  %kernel.0 = f32[16,64]{1,0:T(8,128)S(1)} custom-call(%y.0), \
custom_call_target="tpu_custom_call", frontend_attributes={kernel_metadata={
"note":"{\\"block\\": 512}"
}}, metadata={op_name="splash"}
  %z.0 = bf16[16,64]{1,0:T(8,128)(2,1)S(1)} convert(%kernel.0)
  %next = s32[]{:T(128)} add(%i.0, %two)
  ROOT %out = (s32[], bf16[16,64], bf16[64,64], bf16[8,64]) \
tuple(%next, %z.0, %w.0, %s.0)
}

%condition (arg.1: (s32[], bf16[16,64], bf16[64,64], bf16[8,64])) -> pred[] {
  %eight = s32[]{:T(128)} constant(8)
  %arg.1 = (s32[]{:T(128)}, bf16[16,64]{1,0}, bf16[64,64]{1,0}, bf16[8,64]{1,0}) \
parameter(0)
  %i.1 = s32[]{:T(128)} get-tuple-element(%arg.1), index=0
  ROOT %less = pred[]{:T(512)} compare(%i.1, %eight), direction=LT
}

ENTRY %main (in.0: (s32[], bf16[16,64], bf16[64,64], bf16[8,64])) -> (s32[], \
bf16[16,64], bf16[64,64], bf16[8,64]) {
  %in.0 = (s32[], bf16[16,64], bf16[64,64], bf16[8,64]) parameter(0)
  ROOT %loop = (s32[], bf16[16,64], bf16[64,64], bf16[8,64]) while(%in.0), \
condition=%condition, body=%body
}
"""


def test_a_loop_that_was_unrolled_runs_half_as_often_as_its_bound():
    module = parse_module(LOOP)
    loop = module.computations["main"]["loop"]
    assert trip_count(module, loop) == 4  # 0, 2, 4, 6


def test_everything_in_a_loop_counts_as_often_as_it_runs():
    counted = count_work(LOOP)
    assert counted.flops == 4 * 2 * 16 * 64 * 64
    # Of 64 x 64 bfloat16 numbers a device has an eighth and gets the rest, once a turn.
    assert counted.collectives == {"all-gather": 4 * 7 / 8 * 64 * 64 * 2}
    assert counted.cycles == 4 * 100
    assert counted.num_kernels == 4


def test_bytes_are_those_of_hbm_and_not_of_the_chips_own_memory():
    # Of the work's fusion x.0 is read and y.0 written, the kernel reads y.0, the counter
    # is three numbers; all else lies on the chip.
    once = 16 * 64 * 2 + 16 * 64 * 4 + 16 * 64 * 4 + 3 * 4
    assert count_work(LOOP).bytes == 4 * once


def test_a_window_that_meets_padding_counts_what_lies_on_inputs():
    # As a product of gradients is written: 2 outputs, a window of 2 over one input that
    # is padded on both sides, so that each output meets it once.
    text = """\
ENTRY %main (a: bf16[2048,48,1], b: bf16[2048,2,56]) -> f32[48,2,56] {
  %a = bf16[2048,48,1]{1,0,2} parameter(0)
  %b = bf16[2048,2,56]{2,1,0} parameter(1)
  ROOT %c = f32[48,2,56]{0,2,1} convolution(%a, %b), \
window={size=2 pad=1_1 rhs_reversal=1}, dim_labels=fb0_i0o->b0f
}
"""
    assert count_work(text).flops == 2 * (48 * 2 * 56) * 2048


def test_a_batch_axis_written_as_a_dilated_window_is_met_once():
    text = """\
ENTRY %main (a: f32[4,16,32], b: f32[4,32,8]) -> f32[4,16,8] {
  %a = f32[4,16,32]{2,1,0} parameter(0)
  %b = f32[4,32,8]{2,1,0} parameter(1)
  ROOT %c = f32[4,16,8]{2,1,0} convolution(%a, %b), \
window={size=4 stride=3 lhs_dilate=4}, dim_labels=0bf_0io->0bf
}
"""
    assert count_work(text).flops == 2 * (4 * 16 * 8) * 32


def test_a_scan_of_jax_counts_all_its_turns():
    def layers(x, w):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)[0]

    x, w = jnp.zeros((16, 32)), jnp.zeros((5, 32, 32))
    compiled = jax.jit(layers).lower(x, w).compile()
    assert count_work(compiled.as_text()).flops == 5 * 2 * 16 * 32 * 32
    # What the correction is for: the compiler's own analysis counts one turn of five.
    assert compiled.cost_analysis()["flops"] < 2 * (2 * 16 * 32 * 32)


@pytest.mark.parametrize(
    ("spec", "kind", "incoming"),
    [
        # A sum over rows that lie on 4 devices: 3/4 of 64 numbers, once to add up the
        # parts and once to spread the sum.
        (PartitionSpec("fsdp"), "all-reduce", 2 * 3 / 4 * 64 * 4),
        # Columns on 4 devices made whole: a device has 16 rows of 16 and gets 48 more.
        (PartitionSpec(None, "fsdp"), "all-gather", 3 / 4 * 16 * 64 * 4),
    ],
)
def test_exchanges_of_a_compiled_program(spec, kind, incoming):
    mesh = make_mesh(MeshConfig(data=1, fsdp=4), jax.devices()[:4])
    x = jax.ShapeDtypeStruct((16, 64), jnp.float32, sharding=NamedSharding(mesh, spec))
    whole = NamedSharding(mesh, PartitionSpec())
    function = functools.partial(jnp.sum, axis=0) if kind == "all-reduce" else jnp.sin
    compiled = jax.jit(function, out_shardings=whole).lower(x).compile()
    assert count_work(compiled.as_text()).collectives == {kind: incoming}


def test_shapes_know_what_lies_on_the_chip():
    first, second = parse_shapes("(f32[4,8]{1,0:T(8,128)S(1)}, s32[]{:T(128)})")
    assert (first.bytes, first.is_on_chip) == (4 * 8 * 4, True)
    assert (second.size, second.bytes, second.is_on_chip) == (1, 4, False)
