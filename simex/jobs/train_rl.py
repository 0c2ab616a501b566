"""Job: RL from the SFT checkpoint, on every objective of the experiment."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence

import gin
from jax.sharding import Mesh

from simex.core.stages import on_all_processes
from simex.data.builder import load_split
from simex.data.mixture import Mixture
from simex.data.tokenized import tokenize_split
from simex.jobs.build_dataset import Variant
from simex.jobs.held_out import HeldOutProblems
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.jobs.setup import Setup
from simex.models.config import ModelConfig
from simex.report.rollout_viewer import find_steps, has_rollouts, write_pages
from simex.rl.curriculum import Curriculum
from simex.rl.loop import RlConfig, run_rl
from simex.rl.presets import PresetName, make_algorithm
from simex.rl.replay import Replay
from simex.rl.stream import Staleness
from simex.rollouts.objective import Objective
from simex.rollouts.policy import Policy
from simex.sampling.methods import SamplingMethod
from simex.sharding.processes import is_first
from simex.tokens.tokenizer import Tokenizer
from simex.train.optimizer import OptimizerConfig, OptimizerName, ScheduleName


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """Supervised examples in every update of RL."""

    weight: float  # of their mean loss a token, beside the policy loss
    variant: Variant = "nlex"  # dataset of build_dataset
    mixture: Mixture = Mixture()

    def load(
        self,
        workdir: pathlib.Path,
        tokenizer: Tokenizer,
        *,
        model: ModelConfig,
        rows: int,
        seed: int,
    ) -> Replay:
        """The examples, as ids."""
        source = load_split(workdir / "build_dataset" / self.variant, "train")
        split = tokenize_split(
            (source[index] for index in range(len(source))),
            tokenizer,
            seq_len=model.max_positions,
        )
        return Replay(
            split=split, rows=rows, weight=self.weight, seed=seed, mixture=self.mixture
        )


@gin.configurable
@on_all_processes
def train_rl(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    setup: Setup,
    objectives: Sequence[Objective],
    seed: int,
    num_steps: int,
    rollouts_per_step: int,
    learning_rate: float,
    warmup_steps: int = 0,
    schedule: ScheduleName = "constant",
    optimizer: OptimizerName = "adamw",
    clip_norm: float = 0.1,
    temperature: float = 1.0,
    algorithm: PresetName = "paper",
    changes: Mapping[str, str | int | float] | None = None,
    max_staleness: int = 0,
    rows: int = 32,
    share_prompts: bool = True,
    steps_between_saves: int = 5,
    max_lost_share: float = 0.2,
    max_unreadable_steps: int = 20,
    answer_deadline_secs: float = 600.0,
    stall_secs: float = 120.0,
    tensorboard: bool = False,
    init_from: str = "nlex/train_sft",
    curriculum: Curriculum | None = None,
    replay: ReplayConfig | None = None,
    validation: HeldOutProblems | None = None,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes checkpoints/, tokenizer/, model.json, metrics.jsonl and rollouts/.

    sandbox.json names the jail and the Python that judge, of the first process.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices.
      objectives: what is trained, e.g. output prediction and solving.
      seed: of items and samples.
      num_steps: train steps; each samples anew.
      rollouts_per_step: of all objectives together.
      learning_rate: after the warm-up.
      warmup_steps: updates until then. A train step in which no rollout teaches
        anything is no update.
      schedule: "constant" from then on, or "linear" or "cosine" down to 0 after
        `num_steps` updates.
      optimizer: "muon" or "adamw".
      clip_norm: global gradient norm.
      temperature: of the policy while it is sampled and trained.
      algorithm: a name in rl.presets.PRESETS.
      changes: single choices of it, fields of rl.algorithm.Algorithm by name.
      max_staleness: how many train steps old rollouts may be (the paper: 8). Above 0
        sampling and judging go on while the policy is updated. 0 is on-policy; it
        and 1 repeat themselves bit for bit, more depends on how fast things go.
      rows: of a micro-batch, on all devices.
      share_prompts: an update computes a prompt once for the samples of a row that
        answer it. Only on CPUs and GPUs, and not with windows or dynamic RoPE.
      steps_between_saves: how much work an interruption may cost.
      max_lost_share: of a step's rollouts, to faults of the sandbox; three steps in a
        row with more stop the run. Of a validation that lost more nothing is ranked,
        and its step cannot be the best.
      max_unreadable_steps: so many train steps in a row in which no rollout of any
        objective ends in a readable answer, and none teaches anything else, stop the
        run; the first without such an answer is said on stderr.
      answer_deadline_secs: without any answer of the sandbox; longer is such a fault.
      stall_secs: a longer wait is named on stderr.
      tensorboard: write tensorboard/ beside metrics.jsonl.
      init_from: the stage whose checkpoint to begin from.
      curriculum: asks more often what the policy half masters; None: all alike.
      replay: supervised examples that are learned beside the rollouts; None: none.
      validation: rewards on held-out problems on the way; None: none.
      sandbox: where programs are judged.
    """
    chosen = make_algorithm(algorithm, changes)
    setup.decoder.save_description(workdir, stage_dir)
    tokenizer, model = setup.load_tokenizer(workdir), setup.load_model(workdir)
    mesh = setup.make_mesh()
    method = SamplingMethod(temperature=temperature)
    make_policy = functools.partial(
        setup.make_policy, workdir, mesh=mesh, method=method
    )
    verifiers = load_verifiers(setup, workdir, objectives, mesh=mesh)
    asked = [(objective, objective.load_items(workdir)) for objective in objectives]
    with sandbox.open_pool() as pool:
        if is_first():
            note_sandbox(stage_dir, pool)
        run_rl(
            stage_dir,
            asked,
            make_policy=lambda params: dataclasses.replace(
                make_policy(params), verifiers=verifiers
            ),
            pool=pool,
            config=RlConfig(
                num_steps=num_steps,
                rollouts_per_step=rollouts_per_step,
                algorithm=chosen,
                curriculum=curriculum,
                staleness=Staleness(max_steps=max_staleness),
                replay=(
                    replay.load(workdir, tokenizer, model=model, rows=rows, seed=seed)
                    if replay
                    else None
                ),
                rows=rows,
                share_prompts=share_prompts,
                steps_between_saves=steps_between_saves,
                keep_best=validation.keep_best if validation else "",
                max_lost_share=max_lost_share,
                max_unreadable_steps=max_unreadable_steps,
                answer_deadline_secs=answer_deadline_secs,
                stall_secs=stall_secs,
                has_tensorboard=tensorboard,
            ),
            model=model,
            optimizer=OptimizerConfig(
                name=optimizer,
                learning_rate=learning_rate,
                warmup_steps=warmup_steps,
                schedule=schedule,
                num_steps=num_steps,
                clip_norm=clip_norm,
            ),
            mesh=mesh,
            params=setup.load_params(workdir, init_from, mesh=mesh),
            seed=seed,
            held_out=(
                validation.load(workdir, asked, seed=seed) if validation else None
            ),
        )
    if is_first() and has_rollouts(stage_dir):
        write_pages(find_steps(stage_dir))  # what `simex view` shows, beside records


def verifiers_of(objectives: Sequence[Objective]) -> set[str]:
    """The stages whose policies the objectives ask for predictions."""
    return {s for o in objectives for s in getattr(o, "verifiers", ())}


def load_verifiers(
    setup: Setup,
    workdir: pathlib.Path,
    objectives: Sequence[Objective],
    *,
    mesh: Mesh,
) -> Mapping[str, Policy]:
    """The frozen policies that objectives ask for predictions, by stage.

    They answer greedily, as simulation does in evaluations.
    """
    stages = verifiers_of(objectives)
    return {
        stage: setup.make_policy(
            workdir,
            setup.load_params(workdir, stage, mesh=mesh),
            mesh=mesh,
            method=SamplingMethod(temperature=0.0),
        )
        for stage in sorted(stages)
    }
