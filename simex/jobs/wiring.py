"""Everything that an experiment file may name.

Jobs register themselves with ``@gin.configurable``; constructors of settings stand in
the table. A new job or objective is one import or one line here.
"""

import gin

from simex.data.mixture import Mixture
from simex.data.runs import CurriculumRuns, FileRuns
from simex.jobs import (  # noqa: F401  (importing a job registers it)
    build_dataset,
    evaluate_prediction,
    evaluate_solving,
    explain_programs,
    export,
    harvest_functions,
    make_problems,
    run_programs,
    trace_programs,
    train_rl,
    train_sft,
    train_tokenizer,
    write_explanations,
    write_report,
)
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.setup import DecoderShape, SamplerShape, Setup
from simex.nlex.completion.endpoint import Endpoint
from simex.problems.sources.curriculum.spec import Grammar
from simex.problems.sources.functions import HarvestLimits
from simex.rl.loss import PolicyLossConfig
from simex.rollouts.predict_output import PredictOutputObjective
from simex.rollouts.solve import SolveObjective
from simex.sharding.mesh import MeshConfig

CONSTRUCTORS = (
    CurriculumRuns,
    DecoderShape,
    Endpoint,
    FileRuns,
    Grammar,
    HarvestLimits,
    MeshConfig,
    Mixture,
    PolicyLossConfig,
    PredictOutputObjective,
    SamplerShape,
    SandboxConfig,
    Setup,
    SolveObjective,
)


def register() -> None:
    """Makes the constructors known to gin; the jobs are by being imported."""
    for constructor in CONSTRUCTORS:
        gin.external_configurable(constructor, module="simex")
