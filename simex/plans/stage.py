"""What a plan must know of a training stage: shapes and settings, no data."""

import dataclasses

from simex.models.config import ModelConfig
from simex.rl.algorithm import Algorithm
from simex.sharding.mesh import MeshConfig
from simex.train.optimizer import OptimizerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerSizes:
    """The sampler's compiled shapes."""

    num_slots: int
    chunk_steps: int
    prefill_rows: int
    max_prompt_len: int
    cache_dtype: str
    stop_ids: tuple[int, ...] = (0,)
    tensor: int | None = None  # devices that decode together; None: as they train


@dataclasses.dataclass(frozen=True, kw_only=True)
class SftStage:
    """Supervised training: one program, one batch of whole rows a train step."""

    name: str  # "finetune"
    model: ModelConfig
    mesh: MeshConfig
    optimizer: OptimizerConfig
    batch_rows: int
    seq_len: int
    num_micro_batches: int = 1

    @property
    def tokens_per_step(self) -> int:
        """Positions of a batch, padding counted: packing leaves little of it."""
        return self.batch_rows * self.seq_len


@dataclasses.dataclass(frozen=True, kw_only=True)
class RlStage:
    """Reinforcement learning: sample, score, add up gradients, apply them."""

    name: str  # "train_rl"
    model: ModelConfig
    mesh: MeshConfig
    optimizer: OptimizerConfig
    algorithm: Algorithm
    temperature: float
    rows: int  # of a micro-batch
    seq_len: int
    rollouts_per_step: int
    prompts_per_step: int  # of the rollouts of a group there is one
    max_new_tokens: int
    sampler: SamplerSizes
    num_param_copies: int = 1  # kept beside the trained state


Stage = SftStage | RlStage
