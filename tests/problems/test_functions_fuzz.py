"""Mutated calls: which are taken, which are refused, and what they reach."""

import pytest

from simex.problems.problem import Limits
from simex.problems.sources.functions import FunctionCase, parse_fuzz, render_fuzz
from simex.problems.sources.functions.fuzz_engine import Mutator, shape_of
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool

# Three of the five lines of the body are reached by no small number but 37.
SOURCE = """\
def gate(n, items):
    if n == 37:
        total = sum(items)
        total = total * 2
        return total
    return len(items)
"""


def make_cases(*calls: str, source: str = SOURCE) -> tuple[FunctionCase, ...]:
    return tuple(
        FunctionCase(
            id=f"m:gate#{rank}",
            group="m.py",
            entry="gate",
            source=source,
            call=call,
            license="MIT",
            module="m",
            origin="generated",
        )
        for rank, call in enumerate(calls)
    )


@pytest.fixture(scope="module")
def fuzz():
    with SandboxPool(1) as pool:

        def run(cases, *, rounds: int, seed: int = 0):
            request = RunRequest(
                source=render_fuzz(cases, rounds=rounds, seed=seed),
                limits=Limits(cpu_secs=10),
            )
            outcome = pool.submit(request).result(timeout=60)
            assert outcome.status.is_ok, outcome.stderr_tail
            return outcome.stdout.decode()

        yield run


def test_fuzzing_reaches_lines_that_the_given_calls_do_not(fuzz):
    cases = make_cases("gate(1, [2, 3])")
    without = parse_fuzz(cases, fuzz(cases, rounds=0))
    assert [c.case.call for c in without.found] == ["gate(1, [2, 3])"]
    # The condition and the last line, of 5.
    assert (without.num_lines_reached, without.num_lines) == (2, 5)
    report = parse_fuzz(cases, fuzz(cases, rounds=200))
    given, fuzzed = report.found
    assert (given.case.origin, given.stdout) == ("generated", "2\n")
    assert fuzzed.case.origin == "fuzzed"
    assert fuzzed.case.call.startswith("gate(37, ")
    assert (report.num_lines_given, report.num_lines_reached) == (2, 5)


def test_one_seed_finds_one_list_of_calls(fuzz):
    cases = make_cases("gate(1, [2, 3])")
    first = fuzz(cases, rounds=120, seed=3)
    assert fuzz(cases, rounds=120, seed=3) == first


def test_calls_that_hang_raise_or_print_are_not_kept(fuzz):
    source = (
        "def gate(n):\n    while n > 1:\n        n = n + 1\n"
        "    if n < 0:\n        print(n)\n    return 1 // n\n"
    )
    cases = make_cases("gate(1)", "gate(2)", "gate(-3)", "gate(0)", source=source)
    report = parse_fuzz(cases, fuzz(cases, rounds=20))
    assert [(c.case.call, c.stdout) for c in report.found] == [("gate(1)", "1\n")]


def line(call: str, value: str = "1") -> str:
    return f"{call.encode().hex()} {value.encode().hex()} 1\n"


def test_a_reported_call_of_another_form_is_refused():
    cases = make_cases("gate(1, [2])", "gate(items=[], 1)")
    kept = "gate(5, [7, 8])"
    stdout = (
        line("__import__('os').getcwd()")
        + line("gate(1, [2]) or print(3)")
        + line("gate(1, open('x'))")
        + line("gate(")
        + line("gate(2, [2])", "x" * 201)
        + line(kept)
        + "nonsense\ncovered 1 x 3\ncovered 1 2\n"
    )
    report = parse_fuzz(cases, stdout)
    assert [c.case.call for c in report.found] == [kept]
    assert report.found[0].case.id == "m:gate#fuzzed-0"
    assert (report.num_lines_given, report.num_lines_reached) == (1, 0)


def test_a_mutation_changes_literals_and_nothing_else():
    mutator = Mutator(0, [37, "key"])
    calls = [
        "gate(1, [2, 'a'])",
        "(a := [1, 2], gate(a, k={'x': 1.5}))[0]",
        "gate(*(1, 2))",
    ]
    for call in calls:
        made = {mutator.mutate_call(call) for _ in range(200)}
        assert len(made) > 10
        assert {shape_of(m) for m in made} == {shape_of(call)}
    assert all(
        m.endswith("[0]") for m in (mutator.mutate_call(calls[1]) for _ in range(50))
    )
    assert mutator.mutate_call("gate(len, x)") == "gate(len, x)"


def test_mutations_stay_small():
    mutator = Mutator(1, [])
    value: object = [10**5, "abc", b"ab", (1, 2), True, 0.5]
    for _ in range(3000):
        value = mutator.mutate(value)
    assert len(repr(value)) < 20_000
    number = 10**5
    for _ in range(300):
        number = mutator.mutate(number)
        assert abs(number) <= 10**6
