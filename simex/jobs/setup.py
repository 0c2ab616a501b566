"""Shared settings: the model, the devices, and policies made from checkpoints."""

import dataclasses
import pathlib

from jax.sharding import Mesh

from simex.models.config import ModelConfig
from simex.models.transformer import Params
from simex.rollouts.policy import Policy
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sharding.mesh import MeshConfig, make_decode_mesh, make_mesh
from simex.tokens.tokenizer import SentencePieceTokenizer
from simex.train.saved_params import load_params

# Embedding rows are padded to a multiple of this: tensor shards and matmuls like it.
VOCAB_MULTIPLE = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderShape:
    """A ModelConfig without its vocabulary, which the tokenizer decides."""

    d_model: int
    num_layers: int
    num_query_heads: int
    num_kv_heads: int
    head_dim: int
    d_ff: int
    max_positions: int
    compute_dtype: str = "float32"

    def fit(self, tokenizer: SentencePieceTokenizer) -> ModelConfig:
        """The model for `tokenizer`; embeddings are padded, never too few."""
        rows = -(-tokenizer.vocab_size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE
        return ModelConfig(vocab_size=rows, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerShape:
    """Sizes of the sampler; other sizes are other compiled programs."""

    num_slots: int = 64
    chunk_steps: int = 8
    prefill_rows: int = 4
    # Devices that decode a row together; the others hold replicas. None: as in training.
    tensor: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setup:
    """What every job on devices shares."""

    decoder: DecoderShape
    mesh: MeshConfig = MeshConfig()
    sampler: SamplerShape = SamplerShape()
    max_new_tokens: int = 128

    def load_tokenizer(self, workdir: pathlib.Path) -> SentencePieceTokenizer:
        """The tokenizer that the run trained."""
        return SentencePieceTokenizer(workdir / "train_tokenizer" / "tokenizer.model")

    def make_mesh(self) -> Mesh:
        """The device mesh."""
        return make_mesh(self.mesh)

    def load_params(self, workdir: pathlib.Path, stage: str, *, mesh: Mesh) -> Params:
        """The params of the newest checkpoint of `stage`."""
        config = self.decoder.fit(self.load_tokenizer(workdir))
        return load_params(workdir / stage / "checkpoints", config, mesh=mesh)

    def make_policy(
        self,
        workdir: pathlib.Path,
        params: Params,
        *,
        mesh: Mesh,
        method: SamplingMethod,
    ) -> Policy:
        """A policy that samples from `params` by `method`."""
        tokenizer = self.load_tokenizer(workdir)
        config = self.decoder.fit(tokenizer)
        sampler = Sampler(
            config,
            make_decode_mesh(mesh, tensor=self.sampler.tensor or mesh.shape["tensor"]),
            num_slots=self.sampler.num_slots,
            max_prompt_len=config.max_positions - 16,
            max_total_len=config.max_positions,
            stop_ids=(tokenizer.end_id,),
            chunk_steps=self.sampler.chunk_steps,
            prefill_rows=self.sampler.prefill_rows,
        )
        return Policy(
            sampler=sampler,
            params=params,
            tokenizer=tokenizer,
            method=method,
            max_new_tokens=self.max_new_tokens,
        )
