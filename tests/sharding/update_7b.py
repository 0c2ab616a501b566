"""Prints what one update of Qwen2.5-7B moves, over the least that it could.

Compiled by the TPU compiler for eight v5p chips, fsdp 8, rows of 4,096 tokens, with two
layers and with three: all 28 move (two layers' bytes) + 26 x (the difference).
The least: each param but the embedding is gathered in bfloat16 (2 bytes) for the forward
and again for the backward pass, and its gradient is scattered in float32 (4 bytes): 8
bytes x 7/8. The output layer is gathered once: 6 bytes. The lookup moves activations.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from simex.models.sizes import SIZES
from simex.sft.loss import cross_entropy
from simex.sharding.mesh import MeshConfig, batch_sharding, make_mesh
from simex.train.logprobs import token_logprobs
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import abstract_train_state, state_shardings
from simex.train.step import make_train_step
from tests.sharding.traffic import bytes_sent

SIZE, ROWS, POSITIONS = SIZES["Qwen2.5-7B"].config, 8, 4096


def measure(num_layers: int) -> float:
    """Bytes that one device sends in an update of so many layers."""
    model = dataclasses.replace(
        SIZE,
        num_layers=num_layers,
        scan_layers=True,
        remat="full",
        compute_dtype="bfloat16",
    )
    devices = topologies.get_topology_desc("v5p:2x2x2", "tpu").devices
    mesh = make_mesh(MeshConfig(data=1, fsdp=8), devices=devices)
    tx = make_optimizer(OptimizerConfig(name="adamw"), mesh)

    def loss_fn(params: Any, batch: Any) -> tuple[Any, Any, dict]:
        logprobs_BT, _ = token_logprobs(model, params, batch)
        return *cross_entropy(logprobs_BT, batch["loss_mask"]), {}

    step = make_train_step(
        loss_fn, tx, mesh, shardings=state_shardings(model, tx, mesh)
    )
    kinds = dict.fromkeys(("tokens", "segment_ids", "positions"), jnp.int32)
    batch = {
        name: jax.ShapeDtypeStruct(
            (ROWS, POSITIONS), kind, sharding=batch_sharding(mesh)
        )
        for name, kind in (kinds | {"loss_mask": jnp.float32}).items()
    }
    compiled = step.lower(abstract_train_state(model, tx, mesh), batch).compile()
    sent = bytes_sent(compiled.as_text())
    print(num_layers, {kind: f"{size / 1e9:.2f} GB" for kind, size in sent.items()})
    return sum(sent.values())


def main() -> None:
    """Two programs and the arithmetic."""
    two, three = measure(2), measure(3)
    moved = two + (SIZE.num_layers - 2) * (three - two)
    output = SIZE.vocab_size * SIZE.d_model
    layers = SIZE.num_params - 2 * output
    least = (8 * layers + 6 * output) * 7 / 8
    print(f"moved {moved / 1e9:.1f} GB, least {least / 1e9:.1f} GB")
    print(moved / least)


if __name__ == "__main__":
    main()
