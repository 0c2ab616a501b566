"""The optimizer: Muon or AdamW behind a warm-up, a decay and a clip."""

import dataclasses
import typing
from typing import Any, Literal

import jax
import optax
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.models.config import COMPUTE_DTYPES
from simex.train.muon import scale_by_muon

OptimizerName = Literal["muon", "adamw"]
NAMES: tuple[str, ...] = typing.get_args(OptimizerName)
ScheduleName = Literal["constant", "cosine", "linear"]
SCHEDULES: tuple[str, ...] = typing.get_args(ScheduleName)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How gradients become updates.

    Example: `OptimizerConfig(num_steps=600, warmup_steps=30)` climbs to the learning
    rate in 30 updates and falls along a cosine to 0 at update 600.
    """

    name: str = "muon"
    learning_rate: float = 3e-3
    warmup_steps: int = 0
    schedule: str = "constant"  # after the warm-up
    num_steps: int = 0  # where a decay ends; unused by "constant"
    final_fraction: float = 0.0  # of the learning rate, at the end of a decay
    weight_decay: float = 0.0  # of kernels only, times the learning rate
    clip_norm: float = 1.0  # global gradient norm
    beta1: float = 0.9
    beta2: float = 0.95
    muon_beta: float = 0.95
    muon_dtype: str = "bfloat16"  # of the inputs of Muon's products

    def __post_init__(self) -> None:
        """Raises UserError for an unknown name or an impossible number."""
        for field, known in (
            ("name", NAMES),
            ("schedule", SCHEDULES),
            ("muon_dtype", COMPUTE_DTYPES),
        ):
            if getattr(self, field) not in known:
                raise UserError(
                    f"OptimizerConfig.{field} must be one of {', '.join(known)}, but "
                    f"it is {getattr(self, field)!r}."
                )
        for field in ("learning_rate", "clip_norm"):
            if not getattr(self, field) > 0:
                raise UserError(
                    f"OptimizerConfig.{field} must be positive, but it is "
                    f"{getattr(self, field)}."
                )
        if self.schedule != "constant" and self.num_steps <= self.warmup_steps:
            raise UserError(
                f"A {self.schedule} schedule must end after its warm-up, but num_steps "
                f"is {self.num_steps} and warmup_steps is {self.warmup_steps}. Take more "
                "steps or fewer of them to warm up."
            )


def make_optimizer(
    config: OptimizerConfig, mesh: Mesh | None = None
) -> optax.GradientTransformation:
    """Clip, then Muon or AdamW.

    Muon updates the kernels of attention and feed-forward; embeddings, the head, norms
    and biases get AdamW at the same learning rate. With a mesh, the devices that hold
    different rows of a batch share Muon's work.
    """
    schedule = make_schedule(config)
    if config.name == "adamw":
        update = optax.adamw(
            schedule,
            b1=config.beta1,
            b2=config.beta2,
            weight_decay=config.weight_decay,
            mask=lambda params: _map_kernels(params, lambda is_kernel: is_kernel),
        )
    else:
        muon = optax.chain(
            scale_by_muon(beta=config.muon_beta, dtype=config.muon_dtype, mesh=mesh),
            optax.add_decayed_weights(config.weight_decay),
            optax.scale_by_learning_rate(schedule),
        )
        adamw = optax.adamw(
            schedule, b1=config.beta1, b2=config.beta2, weight_decay=0.0
        )
        update = optax.partition(
            {"muon": muon, "adamw": adamw},
            lambda params: _map_kernels(
                params, lambda is_kernel: "muon" if is_kernel else "adamw"
            ),
        )
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), update)


def make_schedule(config: OptimizerConfig) -> optax.Schedule:
    """Learning rate by update: linear warm-up, then as named.

    Update 0 already moves: the warm-up climbs from 1/warmup_steps of the rate.
    """
    rate = config.learning_rate
    decay_steps = config.num_steps - config.warmup_steps
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(
            rate, decay_steps, alpha=config.final_fraction
        )
    elif config.schedule == "linear":
        after = optax.linear_schedule(rate, rate * config.final_fraction, decay_steps)
    else:
        after = optax.constant_schedule(rate)
    if not config.warmup_steps:
        return after
    climb = optax.linear_schedule(
        rate / config.warmup_steps, rate, config.warmup_steps - 1
    )
    return optax.join_schedules([climb, after], [config.warmup_steps])


def _map_kernels(params: Any, choose: Any) -> Any:
    """choose(is a hidden kernel) for every leaf; also works on boxed params."""

    def visit(path: Any, leaf: Any) -> Any:
        del leaf
        names = [getattr(entry, "key", None) for entry in path]
        return choose("kernel" in names and "head" not in names)

    return jax.tree_util.tree_map_with_path(visit, params)
