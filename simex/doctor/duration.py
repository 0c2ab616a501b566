"""How long the training stages of an experiment will take at least.

Their matmuls at the speed of one large matmul on these devices. The rest (attention on a
CPU, sampling a token at a time, the sandbox) comes on top: twice as long is common.
"""

import time

import jax
import jax.numpy as jnp

from simex.core.errors import UserError
from simex.plans.stage import RlStage, Stage
from simex.sharding.mesh import batch_sharding, make_mesh, replicated

SIDE = 1024  # of the matrices


def measure_flops_per_sec() -> float:
    """Of float32 matmuls on all devices at once, the best of three."""
    mesh = make_mesh()
    rows = SIDE * mesh.size
    multiply = jax.jit(
        jnp.matmul,
        in_shardings=(batch_sharding(mesh), replicated(mesh)),
        out_shardings=batch_sharding(mesh),
    )
    a = jax.device_put(jnp.ones((rows, SIDE)), batch_sharding(mesh))
    b = jax.device_put(jnp.ones((SIDE, SIDE)), replicated(mesh))
    multiply(a, b).block_until_ready()
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        multiply(a, b).block_until_ready()
        best = min(best, time.perf_counter() - begin)
    return 2 * rows * SIDE * SIDE / best


def matmul_flops(stage: Stage, num_steps: int) -> float:
    """Of all train steps; completions as long as they may be.

    A forward pass counts 1, an update 3; RL samples, scores and updates each token.
    """
    a_token = stage.model.matmul_flops_per_token(stage.seq_len // 2)
    if isinstance(stage, RlStage):
        tokens = stage.rollouts_per_step * stage.max_new_tokens
        return num_steps * tokens * a_token * (1 + 3)
    return num_steps * stage.tokens_per_step * a_token * 3


def require_steps(num_steps: object, stage: str) -> int:
    """The number of train steps; raises UserError where it is none."""
    if not isinstance(num_steps, int) or num_steps < 1:
        raise UserError(f"{stage}.num_steps must be at least 1; it is {num_steps!r}.")
    return num_steps
