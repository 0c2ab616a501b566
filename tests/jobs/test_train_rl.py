"""What the job hands to the loop: its settings, and who predicts beside the policy."""

import contextlib
import dataclasses
from types import SimpleNamespace

from simex.jobs import train_rl as train_rl_
from simex.jobs.sandbox import load_backends
from simex.jobs.train_rl import load_verifiers, train_rl
from simex.rl.curriculum import Curriculum
from simex.rollouts.feedback import PREDICTED, Feedback
from simex.rollouts.predict_output import PredictOutputObjective
from simex.rollouts.solve import SolveObjective
from simex.train.optimizer import OptimizerConfig

ASKS_VERIFIER = Feedback(sources=(PREDICTED,), verifier="nlex/train_sft")
OBJECTIVES = (
    PredictOutputObjective(weight=1.0),
    SolveObjective(weight=1.0, feedback=ASKS_VERIFIER),
    # Without fixes nobody needs the feedback.
    SolveObjective(
        weight=1.0,
        max_fixes=0,
        feedback=dataclasses.replace(ASKS_VERIFIER, verifier="other"),
    ),
)


@dataclasses.dataclass(frozen=True)
class FakePolicy:
    params: str
    temperature: float
    verifiers: dict = dataclasses.field(default_factory=dict)


class FakeSetup:
    """A seam: models are words."""

    decoder = SimpleNamespace(save_description=lambda workdir, stage_dir: None)

    def load_tokenizer(self, workdir):
        return "tokenizer"

    def load_model(self, workdir):
        return "model"

    def make_mesh(self):
        return "mesh"

    def load_params(self, workdir, stage, *, mesh):
        return f"params of {stage}"

    def make_policy(self, workdir, params, *, mesh, method):
        return FakePolicy(params, method.temperature)


VERIFIERS = {"nlex/train_sft": FakePolicy("params of nlex/train_sft", 0.0)}


def test_verifiers_are_greedy_and_only_those_that_are_asked(tmp_path):
    found = load_verifiers(FakeSetup(), tmp_path, OBJECTIVES, mesh="mesh")
    assert found == VERIFIERS


def test_the_loop_gets_every_setting(tmp_path, monkeypatch):
    called, pool = {}, SimpleNamespace(backend_name="seccomp")
    monkeypatch.setattr(
        train_rl_,
        "run_rl",
        lambda folder, asked, **kw: called.update(kw, asked=asked),
    )
    monkeypatch.setattr(SolveObjective, "load_items", lambda self, workdir: ["item"])
    curriculum = Curriculum(memory=0.25)
    own = {
        "num_steps": 7,
        "rollouts_per_step": 24,
        "rows": 16,
        "share_prompts": False,
        "steps_between_saves": 3,
        "max_lost_share": 0.125,
        "answer_deadline_secs": 9.0,
        "stall_secs": 8.0,
    }
    learning = {
        "learning_rate": 0.5,
        "warmup_steps": 2,
        "schedule": "linear",
        "clip_norm": 0.25,
    }
    train_rl(
        tmp_path,
        tmp_path,
        setup=FakeSetup(),
        objectives=OBJECTIVES[1:2],
        seed=5,
        temperature=0.75,
        algorithm="dapo",
        changes={"clip_low": 0.125},
        max_staleness=4,
        tensorboard=True,
        curriculum=curriculum,
        init_from="the/start",
        optimizer="muon",
        sandbox=SimpleNamespace(open_pool=lambda: contextlib.nullcontext(pool)),
        **own,
        **learning,
    )
    config = called["config"]
    assert own == {name: getattr(config, name) for name in own}
    assert config.curriculum is curriculum and config.staleness.max_steps == 4
    assert config.has_tensorboard and config.replay is None
    # DAPO draws anew for flat groups; the change is of one choice.
    assert (config.algorithm.flat_groups, config.algorithm.clip_low) == (
        "refill",
        0.125,
    )
    assert called["optimizer"] == OptimizerConfig(name="muon", num_steps=7, **learning)
    assert called["params"] == "params of the/start"
    assert (called["seed"], called["pool"]) == (5, pool)
    assert load_backends([tmp_path]) == "seccomp"  # what judged is noted
    assert called["asked"] == [(OBJECTIVES[1], ["item"])]
    policy = called["make_policy"]("now")
    assert policy == FakePolicy("now", 0.75, VERIFIERS)
