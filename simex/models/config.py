"""What a decoder looks like."""

import dataclasses

from simex.core.errors import UserError

COMPUTE_DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A Qwen3-shaped decoder: pre-norm, grouped queries, rotary positions, SwiGLU.

    Llama is `qk_norm=False`; Qwen2 is `qk_norm=False, qkv_bias=True`.
    """

    vocab_size: int
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

    def __post_init__(self) -> None:
        """Raises UserError for a shape that cannot be built."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in (int, float) and not value > 0:
                raise UserError(
                    f"ModelConfig.{field.name} must be positive, but it is {value}."
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
        if self.compute_dtype not in COMPUTE_DTYPES:
            raise UserError(
                f"ModelConfig.compute_dtype must be one of {', '.join(COMPUTE_DTYPES)}"
                f", but it is {self.compute_dtype!r}."
            )

    @property
    def num_params(self) -> int:
        """Trainable numbers of the whole model."""
        width_q = self.num_query_heads * self.head_dim
        width_kv = self.num_kv_heads * self.head_dim
        attention = self.d_model * (2 * width_q + 2 * width_kv)
        attention += (width_q + 2 * width_kv) * self.qkv_bias
        attention += 2 * self.head_dim * self.qk_norm
        layer = attention + 3 * self.d_model * self.d_ff + 2 * self.d_model
        embeddings = self.vocab_size * self.d_model * (2 - self.tie_embeddings)
        return self.num_layers * layer + embeddings + self.d_model

    def matmul_flops_per_token(self, num_positions: int) -> int:
        """Forward matmul FLOPs of one token that sees `num_positions` positions.

        2 FLOPs a multiply-add; the output layer counts, the embedding lookup does not.
        A train step costs three times this.
        """
        width_q = self.num_query_heads * self.head_dim
        width_kv = self.num_kv_heads * self.head_dim
        matrices = self.d_model * (2 * width_q + 2 * width_kv + 3 * self.d_ff)
        attention = 2 * num_positions * width_q
        return 2 * (
            self.num_layers * (matrices + attention) + self.vocab_size * self.d_model
        )
