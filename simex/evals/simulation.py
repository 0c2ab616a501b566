"""What a policy says that programs print on the public tests of their problems.

One round is one prediction of each public test. Equal programs of a problem are asked
about once, whether prediction is greedy or sampled.
"""

import dataclasses
from collections.abc import Sequence

from simex.problems.problem import Problem
from simex.rollouts.answers import parse_turn
from simex.rollouts.policy import Policy, Query
from simex.tasks import predict_output
from simex.tasks.rewards import are_outputs_right, outputs_as_meant


@dataclasses.dataclass(frozen=True, kw_only=True)
class Simulation:
    """R rounds of predictions for the T public tests of one program.

    Example of two rounds on one test that expects "3": ``Simulation(
    outputs=(("3",), (None,)), passes=((True,), (False,)))``.
    """

    outputs: tuple[tuple[str | None, ...], ...]  # None: the answer was refused
    passes: tuple[tuple[bool, ...], ...]  # is the output the expected one?

    @property
    def doubt(self) -> float:
        """The share of rounds in which some test is predicted to fail."""
        return sum(not all(tests) for tests in self.passes) / len(self.passes)

    @property
    def num_passes(self) -> int:
        """Predicted passes over all rounds."""
        return sum(map(sum, self.passes))

    @property
    def shown(self) -> tuple[str, ...]:
        """The outputs to show to whoever fixes: the first round that finds a failure.

        A refused prediction shows nothing, as it did when fixing was taught.
        """
        worst = next((i for i, p in enumerate(self.passes) if not all(p)), 0)
        return tuple(value or "" for value in self.outputs[worst])

    def first_rounds(self, count: int) -> "Simulation":
        """The simulation as if only `count` rounds had been asked for."""
        return Simulation(outputs=self.outputs[:count], passes=self.passes[:count])


def simulate_programs(
    policy: Policy,
    programs: Sequence[tuple[Problem, str]],
    *,
    rounds: int,
    seed_path: tuple[int, ...],
) -> list[Simulation]:
    """A simulation for each (problem, source), in order."""
    places: dict[tuple[str, str], int] = {}  # of the first asker of equal programs
    queries: list[Query] = []
    for index, (problem, source) in enumerate(programs):
        if (problem.id, source) in places:
            continue
        places[problem.id, source] = index
        for number in range(rounds):
            for test_number, test in enumerate(problem.public_tests):
                queries.append(
                    Query(
                        task="predict_output",
                        prompt=predict_output.render_prompt(source, test.stdin),
                        seed_path=(*seed_path, index, test_number, number),
                    )
                )
    turns = iter(policy.complete(queries) if queries else [])
    said: dict[tuple[str, str], Simulation] = {}
    for key, index in places.items():
        problem = programs[index][0]
        outputs = [
            outputs_as_meant(
                problem, [parse_turn(next(turns)).value for _ in problem.public_tests]
            )
            for _ in range(rounds)
        ]
        said[key] = as_simulation(problem, outputs)
    return [said[problem.id, source] for problem, source in programs]


def as_simulation(
    problem: Problem, outputs: Sequence[Sequence[str | None]]
) -> Simulation:
    """The outputs of R rounds, each compared with the expected ones."""
    return Simulation(
        outputs=tuple(map(tuple, outputs)),
        passes=tuple(
            tuple(
                value is not None and is_right
                for value, is_right in zip(
                    values,
                    are_outputs_right(
                        problem, [value or "" for value in values], are_stated=True
                    ),
                    strict=True,
                )
            )
            for values in outputs
        ),
    )
