"""The objectives of RL that an experiment file may name."""

from simex.rollouts.fix import FixObjective
from simex.rollouts.objective import Objective
from simex.rollouts.predict_output import PredictOutputObjective
from simex.rollouts.solve import SolveObjective

OBJECTIVES: tuple[type[Objective], ...] = (
    PredictOutputObjective,
    SolveObjective,
    FixObjective,
)
