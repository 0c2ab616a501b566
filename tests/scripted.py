"""A policy that answers from a script, and a problem with a right and a wrong program."""

import dataclasses

import numpy as np

from simex.problems.problem import Problem, TestCase, Visibility
from simex.rollouts.beside import Waits
from simex.rollouts.rollout import Turn
from simex.sampling.samples import Stop

RIGHT = "print(sum(map(int, input().split())))\n"
WRONG = "print(0)\n"
PROBLEM = Problem(
    id="sum",
    statement="Print the sum.",
    tests=(
        TestCase(stdin="1 2\n", expected_stdout="3\n", visibility=Visibility.PUBLIC),
        TestCase(stdin="4 5\n", expected_stdout="9\n", visibility=Visibility.PRIVATE),
    ),
    checker="codecontests",
    source="test",
    composition="sum",
)


@dataclasses.dataclass
class Script:
    """A seam: answers in the order in which prompts come, and remembers them.

    The last prompt's row is the first to be finished.
    """

    answers: list
    prompts: list = dataclasses.field(default_factory=list)
    version: int = 0
    seed_paths: list = dataclasses.field(default_factory=list)
    verifiers: dict = dataclasses.field(default_factory=dict)
    waits: Waits = dataclasses.field(default_factory=Waits)

    def complete(self, queries, *, on_turn=lambda index, turn: None):
        self.prompts += [query.prompt for query in queries]
        self.seed_paths += [query.seed_path for query in queries]
        turns = [self._turn(query, self.answers.pop(0)) for query in queries]
        for index in reversed(range(len(turns))):
            on_turn(index, turns[index])
        return turns

    def _turn(self, query, text):
        return Turn(
            task=query.task,
            prompt_ids=(2, 3),
            completion_ids=(7, 4),
            sampler_logprobs=np.zeros(2, np.float32),
            stop=Stop.STOP_ID,
            text=text,
            prompt=query.prompt,
            policy_version=self.version,
        )


class NoRoomToFix(Script):
    """Its window is too short for the prompt of any fix."""

    def _turn(self, query, text):
        turn = super()._turn(query, text)
        if query.task != "submit_or_fix":
            return turn
        empty = np.zeros(0, np.float32)
        return dataclasses.replace(
            turn, completion_ids=(), sampler_logprobs=empty, stop=Stop.LENGTH, text=""
        )
