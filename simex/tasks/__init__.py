"""Tasks: what the policy is asked, what a right answer looks like, how it is scored.

A task is one file with `render_prompt`, `render_target` and `parse_completion`, and one
line here.
"""

from collections.abc import Mapping
from types import ModuleType

from simex.tasks import explain, predict_output, solve, submit_or_fix

TASKS: Mapping[str, ModuleType] = {
    "explain": explain,
    "predict_output": predict_output,
    "solve": solve,
    "submit_or_fix": submit_or_fix,
}
