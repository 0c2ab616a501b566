"""What a decoder looks like."""

import dataclasses
import typing
from typing import Literal

from simex.core.errors import UserError
from simex.models.rope import RopeScaling

ComputeDtype = Literal["float32", "bfloat16"]
COMPUTE_DTYPES: tuple[str, ...] = typing.get_args(ComputeDtype)
# What a layer keeps for the backward pass: everything; the outputs of matmuls; nothing.
RematPolicy = Literal["none", "dots", "full"]
REMAT_POLICIES: tuple[str, ...] = typing.get_args(RematPolicy)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """A mixture of feed-forward experts in place of one (Qwen3-MoE).

    Example: ``ExpertsConfig(num_experts=128, num_per_token=8, d_ff=768)``.
    """

    num_experts: int
    num_per_token: int
    d_ff: int  # of each expert
    normalises: bool = True  # the chosen experts' weights sum to 1
    dense_layers: tuple[
        int, ...
    ] = ()  # these have one feed-forward of ModelConfig.d_ff

    def __post_init__(self) -> None:
        """Raises UserError for numbers that cannot be."""
        if not 0 < self.num_per_token <= self.num_experts or self.d_ff < 1:
            raise UserError(
                "ExpertsConfig needs 0 < num_per_token <= num_experts and d_ff > 0; "
                f"got {self.num_per_token}, {self.num_experts} and {self.d_ff}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A pre-norm decoder: grouped queries, rotary positions, SwiGLU.

    The defaults are Qwen3's. Llama is `qk_norm=False`; Qwen2 is `qk_norm=False,
    qkv_bias=True`; Qwen3-MoE has `experts`; CWM is Llama with `windows`.
    """

    vocab_size: int  # rows of the embedding
    d_model: int
    num_layers: int
    num_query_heads: int
    num_kv_heads: int
    head_dim: int
    d_ff: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6
    tie_embeddings: bool = True
    qk_norm: bool = True
    qkv_bias: bool = False
    max_positions: int = 256
    compute_dtype: str = "float32"  # of matmul inputs; sums and params stay float32
    o_bias: bool = False
    mlp_bias: bool = False
    rope_scaling: RopeScaling = RopeScaling()
    # One a layer: it sees so many positions, itself among them; None: all. (): all see
    # all.
    windows: tuple[int | None, ...] = ()
    experts: ExpertsConfig | None = None
    # One compiled layer for all; params are then stacked under `layers` as [L, ...].
    scan_layers: bool = False
    remat: str = "none"  # a name in REMAT_POLICIES
    # Ids of the tokenizer; rows from there on are padding, which no distribution knows.
    # None: every row is an id.
    num_ids: int | None = None

    def __post_init__(self) -> None:
        """Raises UserError for a shape that cannot be built."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in (int, float) and not value > 0:
                raise UserError(
                    f"ModelConfig.{field.name} must be positive, but it is {value}."
                )
        if self.num_ids is not None and not 0 < self.num_ids <= self.vocab_size:
            raise UserError(
                "ModelConfig.num_ids must lie in 1..vocab_size, since each id has a row "
                f"of the embedding, but they are {self.num_ids} and {self.vocab_size}."
            )
        if self.num_query_heads % self.num_kv_heads:
            raise UserError(
                "ModelConfig.num_query_heads must be a multiple of num_kv_heads, but "
                f"they are {self.num_query_heads} and {self.num_kv_heads}."
            )
        if self.head_dim % 2:
            raise UserError(
                "ModelConfig.head_dim must be even, since rotary positions turn "
                f"pairs, but it is {self.head_dim}."
            )
        for name, known in (
            ("compute_dtype", COMPUTE_DTYPES),
            ("remat", REMAT_POLICIES),
        ):
            if getattr(self, name) not in known:
                raise UserError(
                    f"ModelConfig.{name} must be one of {', '.join(known)}"
                    f", but it is {getattr(self, name)!r}."
                )
        self._check_layers()

    def _check_layers(self) -> None:
        if len(self.windows) not in (0, self.num_layers):
            raise UserError(
                f"ModelConfig.windows must have one entry for each of the "
                f"{self.num_layers} layers, or none; it has {len(self.windows)}."
            )
        if any(window is not None and window < 1 for window in self.windows):
            raise UserError(
                f"A window must be at least 1; ModelConfig.windows is {self.windows}."
            )
        dense = self.experts.dense_layers if self.experts else ()
        if not all(0 <= layer < self.num_layers for layer in dense):
            raise UserError(
                f"ExpertsConfig.dense_layers must be layers below {self.num_layers}; "
                f"got {dense}."
            )
        if self.scan_layers and dense:
            raise UserError(
                "scan_layers needs layers that are all alike, but layers "
                f"{', '.join(map(str, dense))} have no experts. Set scan_layers=False."
            )

    def window_of(self, layer: int) -> int | None:
        """How many positions this layer sees; None for all."""
        return self.windows[layer] if self.windows else None

    def experts_of(self, layer: int) -> ExpertsConfig | None:
        """The experts of this layer, or None for one feed-forward."""
        experts = self.experts
        return None if experts is None or layer in experts.dense_layers else experts

    @property
    def num_params(self) -> int:
        """Trainable numbers of the whole model."""
        return self._num_params(counts_all_experts=True)

    @property
    def num_non_embedding_params(self) -> int:
        """All but the embedding and the output layer, as model cards count."""
        embeddings = self.vocab_size * self.d_model * (2 - self.tie_embeddings)
        return self.num_params - embeddings

    @property
    def num_active_params(self) -> int:
        """Numbers that one token touches: of experts only those that it goes to."""
        return self._num_params(counts_all_experts=False)

    def matmul_flops_per_token(self, num_positions: int) -> int:
        """Forward matmul FLOPs of one token that sees `num_positions` positions.

        2 FLOPs a multiply-add; the output layer counts, the embedding lookup does not.
        A train step costs three times this.
        """
        width_q = self.num_query_heads * self.head_dim
        width_kv = self.num_kv_heads * self.head_dim
        total = self.vocab_size * self.d_model
        for layer in range(self.num_layers):
            seen = min(num_positions, self.window_of(layer) or num_positions)
            total += self.d_model * (2 * width_q + 2 * width_kv) + 2 * seen * width_q
            if experts := self.experts_of(layer):
                total += 3 * self.d_model * experts.d_ff * experts.num_per_token
                total += self.d_model * experts.num_experts
            else:
                total += 3 * self.d_model * self.d_ff
        return 2 * total

    def _num_params(self, *, counts_all_experts: bool) -> int:
        width_q = self.num_query_heads * self.head_dim
        width_kv = self.num_kv_heads * self.head_dim
        attention = self.d_model * (2 * width_q + 2 * width_kv)
        attention += (width_q + 2 * width_kv) * self.qkv_bias
        attention += self.d_model * self.o_bias
        attention += 2 * self.head_dim * self.qk_norm
        total = self.vocab_size * self.d_model * (2 - self.tie_embeddings)
        total += self.d_model
        for layer in range(self.num_layers):
            total += attention + 2 * self.d_model
            if experts := self.experts_of(layer):
                one = 3 * self.d_model * experts.d_ff
                num = experts.num_experts
                total += self.d_model * num
                total += one * (num if counts_all_experts else experts.num_per_token)
            else:
                total += 3 * self.d_model * self.d_ff
                total += (2 * self.d_ff + self.d_model) * self.mlp_bias
        return total
