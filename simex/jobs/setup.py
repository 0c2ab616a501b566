"""Shared settings: the model, the devices, and policies made from checkpoints."""

import dataclasses
import pathlib
from collections.abc import Sequence

from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.hf.description import Description
from simex.jobs.pretrained import PretrainedDecoder, describe_checkpoints
from simex.models.config import ComputeDtype, ModelConfig
from simex.models.transformer import Params
from simex.rollouts.policy import Policy
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sharding.mesh import MeshConfig, make_decode_mesh, make_mesh
from simex.tokens.tokenizer import SentencePieceTokenizer, Tokenizer
from simex.train.saved_params import load_params, split_choice

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
    compute_dtype: ComputeDtype = "float32"
    # Compile one layer for all; for accelerators, whose compilers take long.
    scan_layers: bool = False

    def fit(self, vocab_size: int) -> ModelConfig:
        """The model of so many ids; rows of the embedding are padded, never too few."""
        rows = -(-vocab_size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE
        return ModelConfig(
            vocab_size=rows, num_ids=vocab_size, **dataclasses.asdict(self)
        )

    def load_config(self, workdir: pathlib.Path) -> ModelConfig:
        """The model for the tokenizer that the run trained."""
        return self.fit(self.load_tokenizer(workdir).vocab_size)

    def load_tokenizer(self, workdir: pathlib.Path) -> SentencePieceTokenizer:
        """The tokenizer that the run trained."""
        return SentencePieceTokenizer(workdir / "train_tokenizer" / "tokenizer.model")

    def load_stop_ids(self, workdir: pathlib.Path) -> tuple[int, ...]:
        """The id that ends a completion."""
        return (self.load_tokenizer(workdir).end_id,)

    def load_params(
        self, workdir: pathlib.Path, checkpoint: str, *, mesh: Mesh
    ) -> Params:
        """The params of a stage's newest checkpoint, or of its best as "STAGE@best"."""
        config = self.load_config(workdir)
        stage, step = split_choice(checkpoint)
        folder = workdir / stage / "checkpoints"
        return load_params(folder, config, mesh=mesh, step=step)

    def save_description(self, workdir: pathlib.Path, stage_dir: pathlib.Path) -> None:
        """Leaves in a stage what others need to load its checkpoints."""
        description = Description(
            config=self.load_config(workdir), stop_ids=self.load_stop_ids(workdir)
        )
        describe_checkpoints(stage_dir, description, self.load_tokenizer(workdir))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerShape:
    """Sizes of the sampler; other sizes are other compiled programs."""

    num_slots: int = 64
    chunk_steps: int = 8
    prefill_rows: int = 4
    max_prompt_len: int | None = None  # None: nearly all positions of the model
    cache_dtype: ComputeDtype = "float32"  # of keys and values; bfloat16 halves them
    # Devices that decode a row together; the others hold replicas. None: as in training.
    tensor: int | None = None

    def make_mesh(self, config: MeshConfig) -> Mesh:
        """The devices; those that decode a row together are neighbours."""
        return make_mesh(config, decode_together=self.tensor or 1)

    def make_sampler(
        self,
        config: ModelConfig,
        mesh: Mesh,
        *,
        stop_ids: Sequence[int],
        max_prompt_len: int | None = None,
        max_total_len: int | None = None,
    ) -> Sampler:
        """A sampler of these sizes, for rows of all positions of the model.

        A job that has lengths of its own gives them; then none may stand here.
        """
        if max_prompt_len is not None and self.max_prompt_len is not None:
            raise UserError(
                "SamplerShape.max_prompt_len must be None where a job has a "
                f"max_prompt_len of its own; it is {self.max_prompt_len}. Set that of "
                "the job."
            )
        length = max_prompt_len or self.max_prompt_len
        return Sampler(
            config,
            make_decode_mesh(mesh, tensor=self.tensor or mesh.shape["tensor"]),
            num_slots=self.num_slots,
            max_prompt_len=length or config.max_positions - 16,
            max_total_len=max_total_len or config.max_positions,
            stop_ids=stop_ids,
            chunk_steps=self.chunk_steps,
            prefill_rows=self.prefill_rows,
            cache_dtype=self.cache_dtype,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setup:
    """What every job on devices shares."""

    decoder: DecoderShape | PretrainedDecoder
    mesh: MeshConfig = MeshConfig()
    sampler: SamplerShape = SamplerShape()
    max_new_tokens: int = 128

    def load_model(self, workdir: pathlib.Path) -> ModelConfig:
        """The decoder."""
        return self.decoder.load_config(workdir)

    def load_tokenizer(self, workdir: pathlib.Path) -> Tokenizer:
        """The tokenizer of the decoder."""
        return self.decoder.load_tokenizer(workdir)

    def make_mesh(self) -> Mesh:
        """The device mesh."""
        return self.sampler.make_mesh(self.mesh)

    def load_params(
        self, workdir: pathlib.Path, checkpoint: str, *, mesh: Mesh
    ) -> Params:
        """The params of a stage's newest checkpoint, or of its best as "STAGE@best"."""
        return self.decoder.load_params(workdir, checkpoint, mesh=mesh)

    def make_policy(
        self,
        workdir: pathlib.Path,
        params: Params,
        *,
        mesh: Mesh,
        method: SamplingMethod,
    ) -> Policy:
        """A policy that samples from `params` by `method`."""
        sampler = self.sampler.make_sampler(
            self.load_model(workdir),
            mesh,
            stop_ids=self.decoder.load_stop_ids(workdir),
        )
        return Policy(
            sampler=sampler,
            params=params,
            tokenizer=self.load_tokenizer(workdir),
            method=method,
            max_new_tokens=self.max_new_tokens,
        )
