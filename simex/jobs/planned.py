"""What `simex plan` plans: the training stages of an experiment, by their shapes.

Nothing of a run need exist. A model that a stage would import is that of the folder's
config.json, or, where there is no such folder, the known size that it is called after;
the vocabulary of a tokenizer that a stage would train is the one it is asked for.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simex.core.config import Experiment
from simex.core.config import Stage as Job
from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.core.setting_values import with_defaults
from simex.hf.config_import import parse_model_json
from simex.jobs.finetune import finetune
from simex.jobs.import_model import import_model
from simex.jobs.pretrained import PretrainedDecoder, adapt_model, require_positions
from simex.jobs.setup import Setup
from simex.jobs.train_rl import train_rl, verifiers_of
from simex.jobs.train_sft import train_sft
from simex.jobs.train_tokenizer import train_tokenizer
from simex.models.config import ModelConfig
from simex.models.sizes import SIZES
from simex.plans.stage import RlStage, SamplerSizes, SftStage, Stage
from simex.rl.presets import make_algorithm
from simex.rollouts.objective import split_rollouts
from simex.train.optimizer import OptimizerConfig
from simex.train.saved_params import split_choice


def planned_stages(experiment: Experiment) -> list[Stage]:
    """The stages that train, in the order of the run.

    Raises UserError when none does, or when a model cannot be known before the run.
    """
    jobs = _Jobs(experiment.stages)
    found = [
        MAKERS[name](jobs, job)
        for job in experiment.stages
        if (name := _job_name(job)) in MAKERS
    ]
    if not found:
        raise UserError(
            f"{experiment.path} has no stage to plan; there are plans of "
            f"{', '.join(MAKERS)}."
        )
    return found


class _Jobs:
    """The stages of a run by name, and the models that they would leave."""

    def __init__(self, stages: Sequence[Job]) -> None:
        self._stages = {stage.name: stage for stage in stages}

    def settings(self, job: Job) -> dict[str, Any]:
        return with_defaults(job.job, job.arguments)

    def model_of(self, name: str) -> ModelConfig:
        """The model that the stage called `name`, or STAGE@best, leaves behind."""
        name, _ = split_choice(name)
        if name not in self._stages:
            raise unknown_name("stage", name, self._stages)
        job = self._stages[name]
        settings = self.settings(job)
        match _job_name(job):
            case import_model.__name__:
                return imported_config(pathlib.Path(settings["source"]))
            case finetune.__name__:
                return self.finetuned(settings)
            case train_rl.__name__ | train_sft.__name__:
                setup: Setup = settings["setup"]
                if isinstance(setup.decoder, PretrainedDecoder):
                    return setup.decoder.left_by(self.model_of(setup.decoder.stage))
                return self.model_of_setup(setup)
        raise UserError(f"The stage {name} leaves no model to start from.")

    def finetuned(self, settings: Mapping[str, Any]) -> ModelConfig:
        names = ("compute_dtype", "remat", "scan_layers", "rope_scaling")
        config = adapt_model(
            self.model_of(settings["model"]), **{name: settings[name] for name in names}
        )
        require_positions(config, settings["seq_len"])
        return config

    def model_of_setup(self, setup: Setup) -> ModelConfig:
        if isinstance(setup.decoder, PretrainedDecoder):
            return setup.decoder.adapt(self.model_of(setup.decoder.stage))
        for job in self._stages.values():
            if _job_name(job) == train_tokenizer.__name__:
                return setup.decoder.fit(self.settings(job)["vocab_size"])
        raise UserError(
            "The vocabulary of a model comes from train_tokenizer.vocab_size, but no "
            "stage of the run trains a tokenizer."
        )


def imported_config(source: pathlib.Path) -> ModelConfig:
    """The model of a Hugging Face folder; one that is not there goes by its name."""
    path = source / "config.json"
    if path.is_file():
        return parse_model_json(json.loads(path.read_text(encoding="utf-8")))
    name = next((n for n in SIZES if source.name.startswith(n)), None)
    if name is None:
        known = unknown_name("model size", source.name, SIZES)
        raise UserError(
            f"There is no {path}, and the folder has no name known: {known}"
        )
    return SIZES[name].config


def _plan_finetune(jobs: _Jobs, job: Job) -> SftStage:
    settings = jobs.settings(job)
    return SftStage(
        name=job.name,
        model=jobs.finetuned(settings),
        mesh=settings["mesh"],
        optimizer=_optimizer(settings, schedule="linear"),
        batch_rows=settings["batch_rows"],
        seq_len=settings["seq_len"],
        num_micro_batches=settings["num_micro_batches"],
    )


def _plan_sft(jobs: _Jobs, job: Job) -> SftStage:
    settings = jobs.settings(job)
    model = jobs.model_of_setup(settings["setup"])
    return SftStage(
        name=job.name,
        model=model,
        mesh=settings["setup"].mesh,
        optimizer=_optimizer(settings, schedule="linear"),
        batch_rows=settings["batch_rows"],
        seq_len=model.max_positions,
    )


def _plan_rl(jobs: _Jobs, job: Job) -> RlStage:
    settings = jobs.settings(job)
    setup: Setup = settings["setup"]
    model, shape = jobs.model_of_setup(setup), setup.sampler
    return RlStage(
        name=job.name,
        model=model,
        mesh=setup.mesh,
        optimizer=_optimizer(
            settings, clip_norm=settings["clip_norm"], schedule=settings["schedule"]
        ),
        algorithm=make_algorithm(settings["algorithm"], settings["changes"]),
        temperature=settings["temperature"],
        rows=settings["rows"],
        seq_len=model.max_positions,
        rollouts_per_step=settings["rollouts_per_step"],
        prompts_per_step=sum(
            split_rollouts(settings["objectives"], settings["rollouts_per_step"])
        ),
        max_new_tokens=setup.max_new_tokens,
        sampler=SamplerSizes(
            num_slots=shape.num_slots,
            chunk_steps=shape.chunk_steps,
            prefill_rows=shape.prefill_rows,
            max_prompt_len=shape.max_prompt_len or model.max_positions - 16,
            cache_dtype=shape.cache_dtype,
            tensor=shape.tensor,
        ),
        # The params that a run began from, with staleness those that it samples by, and
        # those of frozen verifiers.
        num_param_copies=1
        + bool(settings["max_staleness"])
        + len(verifiers_of(settings["objectives"])),
    )


MAKERS: Mapping[str, Callable[[Any, Job], Stage]] = {
    train_sft.__name__: _plan_sft,
    finetune.__name__: _plan_finetune,
    train_rl.__name__: _plan_rl,
}


def _job_name(job: Job) -> str:
    return getattr(job.job, "__name__", "")


def _optimizer(settings: Mapping[str, Any], **changes: Any) -> OptimizerConfig:
    is_decayed = changes.get("schedule", "constant") != "constant"
    config = OptimizerConfig(
        name=settings["optimizer"],
        learning_rate=settings["learning_rate"],
        warmup_steps=settings["warmup_steps"],
        num_steps=settings["num_steps"] if is_decayed else 0,
    )
    return dataclasses.replace(config, **changes)
