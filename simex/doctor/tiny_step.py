"""One train step of an RL stage with its mesh and algorithm, on a tiny model.

It samples, holds the sampler's logprobs to the trainer's as a run does before its first
update, and makes one update. Rewards are made up: what is tested is the machinery.
"""

from collections.abc import Mapping
from typing import Any

import jax

from simex.core.config import Stage
from simex.core.errors import UserError
from simex.core.prng import key
from simex.jobs.setup import Setup
from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.rl.batch import make_probe
from simex.rl.first_update import check_first_step
from simex.rl.presets import make_algorithm
from simex.rl.trainer import make_trainer
from simex.rollouts.rollout import Group, Rollout, Turn
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest
from simex.sharding.mesh import num_batch_shards
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import make_train_state

PROMPT = (1, 2, 3)
MODEL: Mapping[str, Any] = {
    "vocab_size": 64,
    "d_model": 32,
    "num_layers": 1,
    "num_query_heads": 2,
    "num_kv_heads": 1,
    "head_dim": 16,
    "d_ff": 64,
    "max_positions": 32,
}


def run_tiny_step(stage: Stage) -> dict[str, float]:
    """What was measured before the update.

    Raises:
      UserError: the mesh cannot be made, or sampler and trainer disagree.
    """
    given: Mapping[str, Any] = stage.arguments
    setup: Setup = given["setup"]
    mesh = setup.make_mesh()
    shards = num_batch_shards(mesh)
    model = ModelConfig(compute_dtype=setup.decoder.compute_dtype, **MODEL)
    params = jax.jit(lambda: init_params(model, key(0, "doctor")))()
    temperature = given.get("temperature", 1.0)
    sampler = Sampler(
        model, mesh, num_slots=mesh.size, max_prompt_len=8, max_total_len=16
    )
    requests = [
        SampleRequest(prompt_ids=PROMPT, max_new_tokens=4, seed_path=(0, i))
        for i in range(2 * mesh.size)
    ]
    samples = sampler.sample(params, requests, SamplingMethod(temperature=temperature))
    turns = [
        Turn(
            task="solve",
            prompt_ids=PROMPT,
            completion_ids=tuple(sample.ids.tolist()),
            sampler_logprobs=sample.logprobs,
            stop=sample.stop,
            text="",
        )
        for sample in samples
    ]
    rollouts = tuple(Rollout(turns=(t,), reward=1.0, parts={}) for t in turns)
    groups = [Group(objective="doctor", item_id="0", rollouts=rollouts)]
    tx = make_optimizer(OptimizerConfig(learning_rate=1e-3), mesh)
    trainer = make_trainer(
        model,
        make_algorithm(given.get("algorithm", "paper"), given.get("changes")),
        tx,
        mesh,
        rows=shards,
        temperature=temperature,
        reference_params=params,
        share_prompts=given.get("share_prompts", True),
    )
    state = make_train_state(model, tx, mesh, key=key(0, "doctor"), params=params)
    values = check_first_step(trainer, state, groups, step=0)
    probe = make_probe(
        groups,
        rows=shards,
        seq_len=model.max_positions,
        share_prompts=trainer.shares_prompts,
    )
    if probe is None:
        raise UserError("The sampler must sample something; it returned nothing.")
    trainer.update(state, [probe[0]], denominator=1.0)
    return values
