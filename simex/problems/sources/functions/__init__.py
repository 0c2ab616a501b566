"""Real functions of any folder of Python code, as programs that print one value.

Nothing is executed here. `candidate_cases` reads files and makes programs;
`simex.jobs.harvest_functions` runs them in the sandbox by means of `render_probe` and
`parse_probe`, and keeps what `select_cases` chooses.
"""

from simex.problems.sources.functions.case import (
    FunctionCase,
    SelectedCase,
    render_program,
)
from simex.problems.sources.functions.fuzz import (
    FuzzReport,
    parse_fuzz,
    render_fuzz,
)
from simex.problems.sources.functions.harvest import (
    Harvest,
    HarvestLimits,
    candidate_cases,
    harvest,
)
from simex.problems.sources.functions.probe import (
    CallOutcome,
    Finding,
    parse_probe,
    render_probe,
)
from simex.problems.sources.functions.select import is_held_out, is_idle, select_cases

__all__ = [
    "CallOutcome",
    "Finding",
    "FunctionCase",
    "FuzzReport",
    "Harvest",
    "HarvestLimits",
    "SelectedCase",
    "candidate_cases",
    "harvest",
    "is_held_out",
    "is_idle",
    "parse_fuzz",
    "parse_probe",
    "render_fuzz",
    "render_probe",
    "render_program",
    "select_cases",
]
