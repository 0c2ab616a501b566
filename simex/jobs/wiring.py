"""Everything that an experiment file may name.

Jobs register themselves with ``@gin.configurable``; constructors of settings stand in
the table. A new job is one import here; an objective of RL
has its line in `rollouts.objectives`.
"""

import gin

from simex.data.listed_runs import FileRuns, ImportedRuns
from simex.data.mixture import Mixture
from simex.data.runs import CurriculumRuns
from simex.evals.fix_loop import FixLoop
from simex.jobs import (  # noqa: F401  (importing a job registers it)
    analyse_predictions,
    build_dataset,
    evaluate_benchmark,
    evaluate_prediction,
    evaluate_solving,
    explain_functions,
    explain_programs,
    export,
    finetune,
    harvest_functions,
    import_model,
    import_problems,
    make_prediction_set,
    make_problems,
    rl_results,
    run_programs,
    score_cruxeval,
    study,
    trace_programs,
    train_rl,
    train_sft,
    train_tokenizer,
    write_explanations,
    write_report,
)
from simex.jobs.checkpoint_teller import CheckpointTeller
from simex.jobs.held_out import HeldOutExamples, HeldOutProblems
from simex.jobs.pretrained import PretrainedDecoder
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.setup import DecoderShape, SamplerShape, Setup
from simex.jobs.train_rl import ReplayConfig
from simex.models.rope import RopeScaling
from simex.nlex.completion.endpoint import Endpoint
from simex.problems.filters.contamination import NgramLengths
from simex.problems.filters.shape import MaxSizes
from simex.problems.filters.sift import FilterSettings
from simex.problems.sources.curriculum.spec import Grammar
from simex.problems.sources.functions import HarvestLimits
from simex.rl.curriculum import Curriculum
from simex.rollouts.credit import CreditConfig
from simex.rollouts.feedback import Feedback
from simex.rollouts.objectives import OBJECTIVES
from simex.sharding.mesh import MeshConfig
from simex.tasks.grounded import GroundingReward

CONSTRUCTORS = (
    CheckpointTeller,
    CreditConfig,
    Curriculum,
    CurriculumRuns,
    DecoderShape,
    Endpoint,
    Feedback,
    FileRuns,
    FilterSettings,
    FixLoop,
    Grammar,
    GroundingReward,
    HarvestLimits,
    HeldOutExamples,
    HeldOutProblems,
    ImportedRuns,
    MaxSizes,
    MeshConfig,
    Mixture,
    NgramLengths,
    PretrainedDecoder,
    ReplayConfig,
    RopeScaling,
    SamplerShape,
    SandboxConfig,
    Setup,
    *OBJECTIVES,
)


def register() -> None:
    """Makes the constructors known to gin; the jobs are by being imported."""
    for constructor in CONSTRUCTORS:
        gin.external_configurable(constructor, module="simex")
