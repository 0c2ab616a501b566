"""Meshes multiply to the devices, and axes that do not divide are replicated."""

import subprocess
import sys

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.sampling.programs import make_programs
from simex.sharding import mesh as meshes
from simex.sharding.cpu import configure_cpu_devices
from simex.sharding.decode import cache_sharding
from simex.sharding.mesh import (
    DECODE_RULES,
    MeshConfig,
    make_mesh,
    make_shardings,
    num_batch_shards,
    put_batch,
)


def test_minus_one_takes_the_devices_that_are_left() -> None:
    assert dict(make_mesh(MeshConfig(fsdp=4)).shape) == {
        "slices": 1,
        "data": 2,
        "fsdp": 4,
        "sequence": 1,
        "tensor": 1,
    }


@pytest.mark.parametrize(
    "config",
    [MeshConfig(fsdp=3), MeshConfig(fsdp=-1), MeshConfig(data=0), MeshConfig(data=4)],
)
def test_sizes_that_do_not_fit_the_devices_are_refused(config) -> None:
    with pytest.raises(UserError, match="Mesh sizes must"):
        make_mesh(config)


def test_axes_shard_by_rule_where_their_size_divides() -> None:
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=2))
    boxed = {
        "up": nn.LogicallyPartitioned(np.zeros((4, 6)), ("embed", "mlp")),
        "odd": nn.LogicallyPartitioned(np.zeros((4, 3)), ("embed", "kv_heads")),
        "step": np.zeros(()),
    }
    specs = jax.tree.map(lambda s: s.spec, make_shardings(boxed, mesh))
    assert specs == {
        "up": PartitionSpec("fsdp", "tensor"),
        "odd": PartitionSpec("fsdp", None),
        "step": PartitionSpec(),
    }
    decode = make_shardings(boxed, mesh, rules=DECODE_RULES)
    assert decode["up"].spec == PartitionSpec(None, "tensor")


def test_rows_of_a_batch_divide_over_data_and_fsdp() -> None:
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    assert num_batch_shards(mesh) == 4
    batch = put_batch({"tokens": np.zeros((8, 3), np.int32)}, mesh)
    assert batch["tokens"].addressable_shards[0].data.shape == (2, 3)
    with pytest.raises(UserError, match="`tokens` has 6 rows"):
        put_batch({"tokens": np.zeros((6, 3), np.int32)}, mesh)


def test_cpu_devices_are_made_before_jax_starts_and_not_after() -> None:
    code = (
        "from simex.sharding.cpu import configure_cpu_devices as c; c(3); import jax;"
        "print(len(jax.devices())); c(3); c(2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "3"
    assert "already started with 3" in done.stderr


def test_no_devices_at_all_are_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        configure_cpu_devices(0)


class FakeDevice:
    """A device of some process."""

    def __init__(self, process_index: int, number: int):
        self.process_index, self.id = process_index, number


def test_devices_that_decode_together_come_from_one_process() -> None:
    # Two outer places of 2 x 2 devices, in which two processes alternate.
    owners = [[0, 1, 0, 1], [3, 2, 2, 3]]
    devices = np.empty((2, 1, 2, 2), object)
    devices.flat[:] = [
        FakeDevice(owner, 4 * place + i)
        for place, row in enumerate(owners)
        for i, owner in enumerate(row)
    ]
    ordered = meshes._in_order_of_processes(devices)
    assert ordered.shape == devices.shape
    assert [d.process_index for d in ordered.flat] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [d.id for d in ordered.flat] == [0, 2, 1, 3, 5, 6, 4, 7]


@pytest.mark.parametrize(("kv_heads", "of_a_device"), [(4, 2), (3, 3)])
def test_a_cache_is_divided_over_tensor_where_kv_heads_divide(
    kv_heads, of_a_device
) -> None:
    mesh = make_mesh(MeshConfig(tensor=2))
    spec = cache_sharding(mesh, kv_heads).spec
    assert (len(spec) == 2 and spec[1] == "tensor") is (of_a_device < kv_heads)
    config = ModelConfig(
        vocab_size=8, d_model=8, num_layers=1, num_query_heads=kv_heads,
        num_kv_heads=kv_heads, head_dim=4, d_ff=8, max_positions=8,
    )  # fmt: skip
    programs = make_programs(
        config, mesh, chunk_steps=2, stop_ids=(), cache_dtype="float32"
    )
    (layer,) = programs.make_cache(8, 8)  # eight rows over four pairs of devices
    assert layer.v_BKSH.sharding.shard_shape((8, kv_heads, 8, 4)) == (
        2, of_a_device, 8, 4,
    )  # fmt: skip
