"""RL from a model that another stage imported, with its own tokenizer and config."""

import dataclasses

import jax
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.hf.description import Description, load_description, save_description
from simex.jobs.pretrained import PretrainedDecoder, adapt_model, require_positions
from simex.jobs.setup import SamplerShape, Setup
from simex.jobs.train_rl import train_rl
from simex.models.config import ModelConfig
from simex.models.rope import RopeScaling
from simex.models.transformer import init_params
from simex.rollouts.policy import Query
from simex.rollouts.rollout import Group, Rollout
from simex.sampling.methods import SamplingMethod
from simex.sharding.mesh import MeshConfig
from simex.tokens.saved import save_tokenizer
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.train.saved_params import save_params

MODEL = ModelConfig(
    vocab_size=371, d_model=16, num_layers=2, num_query_heads=2, num_kv_heads=1,
    head_dim=8, d_ff=24, max_positions=64, qk_norm=False, qkv_bias=True,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class SayDigits:
    """A reward for a digit at the start; nothing is judged."""

    weight: float = 1.0
    group_size: int = 8
    name: str = "say_digits"

    def load_items(self, workdir):
        return ["a", "b"]

    def collect(self, policy, items, *, pool, seed_path):
        numbers = [(i, s) for i in range(len(items)) for s in range(self.group_size)]
        turns = policy.complete(
            [
                Query(task="solve", prompt=items[i], seed_path=(*seed_path, i, s))
                for i, s in numbers
            ]
        )
        rollouts = [
            # Every second one, so that no group is flat.
            Rollout(turns=(turn,), reward=float(s % 2), parts={}, notes={})
            for turn, (_, s) in zip(turns, numbers, strict=True)
        ]
        return [
            Group(
                objective=self.name,
                item_id=item,
                rollouts=tuple(rollouts[8 * i : 8 * i + 8]),
            )
            for i, item in enumerate(items)
        ]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """An imported model, as `import_model` leaves it."""
    folder = tmp_path_factory.mktemp("run")
    model = folder / "import_model" / "model"
    (model / "tokenizer").mkdir(parents=True)
    path = folder / "tokenizer.model"
    texts = [f"print({i} + {i * 7})\n" for i in range(200)]
    tokenizer = train_sentencepiece(texts, path, vocab_size=400, symbols=())
    save_tokenizer(tokenizer, model / "tokenizer")
    save_params(model / "checkpoints", init_params(MODEL, jax.random.key(0)))
    stops = (tokenizer.end_id, 9)
    save_description(model, Description(config=MODEL, stop_ids=stops))
    return folder


def make_setup(**changes):
    decoder = PretrainedDecoder(stage="import_model", max_positions=48, **changes)
    shape = SamplerShape(num_slots=16, max_prompt_len=16, prefill_rows=1)
    return Setup(
        decoder=decoder, mesh=MeshConfig(fsdp=2), sampler=shape, max_new_tokens=8
    )


def test_the_model_is_the_imported_one_with_the_choices_of_the_run(workdir):
    setup = make_setup(remat="full", scan_layers=True)
    assert setup.load_model(workdir) == dataclasses.replace(
        MODEL, max_positions=48, remat="full", scan_layers=True
    )
    assert setup.load_tokenizer(workdir).vocab_size == 371
    assert setup.decoder.load_stop_ids(workdir)[1:] == (9,)


def test_rows_of_a_stage_do_not_shorten_the_context_of_its_model(workdir):
    stage_dir = workdir / "shorter"
    stage_dir.mkdir()
    make_setup(scan_layers=True).decoder.save_description(workdir, stage_dir)
    left = load_description(stage_dir).config  # rows were of 48
    assert left == dataclasses.replace(MODEL, max_positions=64, scan_layers=True)
    again = PretrainedDecoder(stage="shorter")
    assert again.load_config(workdir).max_positions == 64


def test_layers_come_as_the_run_wants_them(workdir):
    alone, stacked = make_setup(), make_setup(scan_layers=True)
    one = alone.load_params(workdir, "import_model", mesh=alone.make_mesh())
    other = stacked.load_params(workdir, "import_model", mesh=stacked.make_mesh())
    expected = init_params(MODEL, jax.random.key(0))
    for layer in range(2):
        wanted = expected[f"layer_{layer}"]["attention"]["q"]["kernel"]
        found = one[f"layer_{layer}"]["attention"]["q"]["kernel"]
        np.testing.assert_array_equal(found, wanted)
        part = other["layers"]["attention"]["q"]["kernel"][layer]
        np.testing.assert_array_equal(part, wanted)


@pytest.mark.slow
def test_rl_starts_from_it_and_leaves_a_model_that_others_load(workdir):
    stage_dir = workdir / "train_rl"
    stage_dir.mkdir()
    train_rl(
        workdir,
        stage_dir,
        setup=make_setup(scan_layers=True),
        objectives=[SayDigits()],
        seed=0,
        num_steps=1,
        rollouts_per_step=16,
        learning_rate=1e-2,
        rows=8,
        init_from="import_model",
    )
    assert load_description(stage_dir).config.scan_layers
    again = dataclasses.replace(
        make_setup(), decoder=PretrainedDecoder(stage="train_rl")
    )
    mesh = again.make_mesh()
    params = again.load_params(workdir, "train_rl", mesh=mesh)
    before = init_params(MODEL, jax.random.key(0))
    moved = params["layer_0"]["feed_forward"]["up"]["kernel"]
    assert np.abs(moved - before["layer_0"]["feed_forward"]["up"]["kernel"]).max() > 0
    policy = again.make_policy(
        workdir, params, mesh=mesh, method=SamplingMethod(temperature=0.0)
    )
    (turn,) = policy.complete([Query(task="solve", prompt="a", seed_path=(0,))])
    assert turn.completion_ids


@pytest.mark.slow
def test_a_decay_of_rl_ends_with_its_last_step(workdir):
    stage_dir = workdir / "decaying/train_rl"
    stage_dir.mkdir(parents=True)
    with pytest.raises(UserError, match=r"linear schedule must end .* num_steps is 2"):
        train_rl(
            workdir,
            stage_dir,
            setup=make_setup(),
            objectives=[SayDigits()],
            seed=0,
            num_steps=2,
            warmup_steps=2,
            schedule="linear",
            rollouts_per_step=16,
            learning_rate=1e-2,
            init_from="import_model",
        )


def test_rows_beyond_what_the_model_knows_need_a_scaled_rope():
    options = {"compute_dtype": "bfloat16", "remat": "full", "scan_layers": True}
    plain = adapt_model(MODEL, **options)
    with pytest.raises(UserError, match="at most the 64 positions"):
        require_positions(plain, 128)
    scaling = RopeScaling(kind="yarn", factor=2.0, original_max_positions=64)
    scaled = adapt_model(MODEL, rope_scaling=scaling, **options)
    require_positions(scaled, 128)
    assert (scaled.max_positions, scaled.rope_scaling) == (128, scaling)


def test_a_second_stage_with_the_same_scaling_knows_no_more_positions():
    options = {"compute_dtype": "float32", "remat": "none", "scan_layers": False}
    yarn = RopeScaling(kind="yarn", factor=2.0, original_max_positions=64)
    linear = RopeScaling(kind="linear", factor=2.0)
    for scaling in (yarn, linear):
        once = adapt_model(MODEL, rope_scaling=scaling, **options)
        twice = adapt_model(once, rope_scaling=scaling, **options)
        assert (once.max_positions, twice) == (128, once)
    # A larger factor is one of the 64 positions of pre-training, too.
    more = dataclasses.replace(yarn, factor=4.0)
    scaled = adapt_model(MODEL, rope_scaling=yarn, **options)
    assert adapt_model(scaled, rope_scaling=more, **options).max_positions == 256
    scaled = adapt_model(MODEL, rope_scaling=linear, **options)
    more = dataclasses.replace(linear, factor=4.0)
    assert adapt_model(scaled, rope_scaling=more, **options).max_positions == 256
