"""Bytes that collectives move, read from the programs that compilers make."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from tests.sharding.traffic import bytes_sent

# Two loops, one in the other's body (unrolled: it counts to 6 in twos), and a fusion that TPUs have for a reduce-scatter.
HLO = """
HloModule step

%all-reduce-scatter.1 (p: f32[8,4]) -> f32[2,4] {
  %p = f32[8,4]{1,0} parameter(0)
  %r = f32[8,4]{1,0} all-reduce(%p), replica_groups={{0,1,2,3}}, to_apply=%add
  ROOT %d = f32[2,4]{1,0} dynamic-slice(%r), dynamic_slice_sizes={2,4}
}

%inner_body (p: (s32[], bf16[8,4])) -> (s32[], bf16[8,4]) {
  %i = s32[] get-tuple-element(%p), index=0
  %two = s32[] constant(2)
  %next = s32[] add(%i, %two)
  %g = bf16[8,4]{1,0} all-gather(%x), replica_groups=[2,4]<=[8], dimensions={0}
  ROOT %t = (s32[], bf16[8,4]) tuple(%next, %g)
}

%inner_cond (p: (s32[], bf16[8,4])) -> pred[] {
  %i = s32[] get-tuple-element(%p), index=0
  %c = s32[] constant(6)
  ROOT %l = pred[] compare(%i, %c), direction=LT
}

%body (p: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %w = (s32[], bf16[8,4]) while(%t), condition=%inner_cond, body=%inner_body
  %f = f32[2,4]{1,0} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.1
}

%cond (p: (s32[], f32[8,4])) -> pred[] {
  %c = s32[] constant(99)
}

ENTRY %main (p: f32[8,4]) -> f32[8,4] {
  %w = (s32[]) while(%t), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  %s = (f32[2,4], f32[8,4]) all-gather-start(%p), replica_groups=mesh['a'=2,'b'=4] {'b'}
  %e = f32[8,4] all-reduce(%p), replica_groups={{0,1},{2,3}}, to_apply=%add
  %q = f32[8,4] collective-permute(%p), source_target_pairs={{0,1},{1,0}}
}
"""


def test_loops_multiply_and_groups_share() -> None:
    # bf16[8,4] is 64 bytes, f32[8,4] 128; of four devices each sends 3/4, of two 1/2.
    assert bytes_sent(HLO) == {
        "all-gather": 5 * 3 * 64 * 3 / 4 + 128 * 3 / 4,
        "reduce-scatter": 5 * 128 * 3 / 4,
        "all-reduce": 2 * 128 / 2,
        "collective-permute": 128,
    }


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="no libtpu")
def test_a_7b_update_moves_little_more_than_fully_sharded_training_must() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.sharding.update_7b"],
        env=os.environ
        | {
            "JAX_PLATFORMS": "cpu",
            "TPU_SKIP_MDS_QUERY": "1",
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # whoever else has it loaded
        },
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 1.3
