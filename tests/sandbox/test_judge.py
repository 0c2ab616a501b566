"""Verdicts: only the judge gives them, and only for what was really run."""

import pickle
import sys
import types
from concurrent.futures import Future

import pytest

from simex.core.errors import InfraError, UserError
from simex.problems.problem import Limits, TestCase, Visibility
from simex.sandbox.backends import choose_backend
from simex.sandbox.crew import Crew
from simex.sandbox.judge import JudgeItem, judge, judge_all
from simex.sandbox.judging import RunMemory
from simex.sandbox.outcome import Verdict
from simex.sandbox.tally import Tally
from tests.sandbox.counts import take_counts
from tests.sandbox.in_one_thread import case, judge_in_one_thread

ADD_ONE = "print(int(input()) + 1)"


THREE = (case("1", "2\n"), case("2", "0\n"), case("3", "4\n"))


def test_each_test_has_a_verdict_in_order(best_pool):
    judgement = judge(best_pool, THREE, "lines", ADD_ONE)
    assert judgement.verdicts == (
        Verdict.ACCEPTED,
        Verdict.WRONG_OUTPUT,
        Verdict.ACCEPTED,
    )
    assert not judgement.is_accepted
    assert judgement.backend == best_pool.backend_name


def test_a_program_is_right_if_every_test_is_accepted(best_pool):
    assert judge(best_pool, THREE[:1], "lines", ADD_ONE).is_accepted


def test_no_tests_is_no_judgement(best_pool):
    with pytest.raises(UserError, match="no tests"):
        judge(best_pool, (), "lines", ADD_ONE)


def test_early_stop_stores_the_rest_as_not_run_and_runs_nothing_more(best_pool):
    take_counts(best_pool)
    own = ADD_ONE + "  # not remembered from another test"
    judgement = judge(best_pool, THREE, "lines", own, early_stop=True)
    assert judgement.verdicts == (
        Verdict.ACCEPTED,
        Verdict.WRONG_OUTPUT,
        Verdict.NOT_RUN,
    )
    assert judgement.outcomes[2] is None and not judgement.is_accepted
    assert take_counts(best_pool)["runs"] == 2


@pytest.mark.parametrize(
    "source, verdict",
    [
        ("print(2)\nraise SystemExit(1)", Verdict.RUNTIME_ERROR),
        ("print(2", Verdict.COMPILE_ERROR),
        ("print(2)\nx = bytearray(1 << 42)", Verdict.MEMORY_LIMIT),
        ("import os\nos._exit(0)", Verdict.WRONG_OUTPUT),
        ("import ctypes\nprint(2)\nctypes.CDLL(None).unshare(0)", Verdict.BLOCKED),
    ],
)
def test_a_right_answer_does_not_excuse_a_bad_end(best_pool, source, verdict):
    assert judge(best_pool, THREE[:1], "lines", source).verdicts == (verdict,)


class Broken:
    """A crew whose workers fail on one stdin, and that counts its runs."""

    def __init__(self, crew, stdin):
        self.num_runs, self._crew, self._stdin = 0, crew, stdin

    def submit(self, request, place):
        self.num_runs += 1
        if request.stdin == self._stdin:
            future = Future()
            future.set_exception(InfraError("the fork server ended"))
            return future
        return self._crew.submit(request, place)


@pytest.fixture
def crew():
    made = Crew(1, choose_backend(), tally=Tally())
    yield made
    made.close()


def test_an_infra_error_is_neither_a_pass_nor_a_fail(crew):
    item = JudgeItem(tests=THREE, checker="lines", source=ADD_ONE)
    result, _ = judge_in_one_thread(Broken(crew, "3").submit, item)
    assert isinstance(result, InfraError)
    result, totals = judge_in_one_thread(Broken(crew, "no").submit, item)
    assert [v.value for v in result.verdicts] == [
        "accepted",
        "wrong_output",
        "accepted",
    ]
    assert totals["verdict/accepted"] == (2.0, 2.0)


def test_a_broken_checker_breaks_its_judgement_and_no_other(best_pool):
    items = [
        JudgeItem(tests=THREE[:1], checker=check_nothing, source="print(2)"),
        JudgeItem(tests=THREE[:1], checker="lines", source="print(2)"),
    ]
    take_counts(best_pool)
    futures = [best_pool.submit_judgement(item) for item in items]
    with pytest.raises(ZeroDivisionError):
        futures[0].result(timeout=60)
    assert futures[1].result(timeout=60).is_accepted
    assert take_counts(best_pool)["driver_restarts"] == 0


class Spot(Exception):
    """Pickles, and cannot be made again from what it shows."""

    def __init__(self, where):
        line, column = where
        super().__init__(f"line {line}, column {column}")


def check_somewhere(printed, expected):
    raise Spot((1, 2))


def test_an_error_that_cannot_travel_is_named_and_breaks_nothing_else(best_pool):
    lines = JudgeItem(tests=THREE[:1], checker="lines", source="print(2)")
    broken = JudgeItem(tests=THREE[:1], checker=check_somewhere, source="print(2)")
    take_counts(best_pool)
    with pytest.raises(InfraError, match="Spot: line 1, column 2"):
        best_pool.submit_judgement(broken).result(timeout=60)
    assert best_pool.submit_judgement(lines).result(timeout=60).is_accepted
    assert take_counts(best_pool)["driver_restarts"] == 0


def check_nothing(printed, expected):
    return 1 // 0


def test_a_checker_that_cannot_be_sent_is_refused_at_once(best_pool):
    item = JudgeItem(tests=THREE, checker=lambda a, b: True, source=ADD_ONE)
    with pytest.raises(UserError, match="a checker a name or a function"):
        best_pool.submit_judgement(item)


def test_a_checker_that_the_driver_cannot_import_is_refused(best_pool, monkeypatch):
    monkeypatch.setitem(sys.modules, "only_here", types.ModuleType("only_here"))
    check = types.FunctionType(check_nothing.__code__, {}, "check")
    check.__module__, check.__qualname__ = "only_here", "check"
    monkeypatch.setattr("only_here.check", check, raising=False)
    item = JudgeItem(tests=THREE, checker=check, source=ADD_ONE)
    with pytest.raises(UserError, match="in a module that can be imported"):
        best_pool.submit_judgement(item).result(timeout=60)


def test_the_expected_outputs_of_a_judgement_never_reach_a_worker(crew):
    seen = []

    def spy(request, place):
        seen.append(request)
        return crew.submit(request, place)

    item = JudgeItem(tests=(case("1", "SECRET"),), checker="lines", source=ADD_ONE)
    judge_in_one_thread(spy, item)
    assert b"SECRET" not in pickle.dumps(seen)
    assert b"SECRET" in pickle.dumps(item)


def test_many_programs_are_judged_in_order(best_pool):
    items = [
        JudgeItem(tests=(case("1", f"{n}\n"),), checker="lines", source=f"print({n})")
        for n in range(30)
    ]
    assert all(j.is_accepted for j in judge_all(best_pool, items, early_stop=True))


def test_the_same_run_is_not_made_twice_while_it_is_remembered(crew):
    runs = Broken(crew, "no")
    memory = RunMemory(
        runs.submit, max_entries=2, interpreter_version="3", tally=Tally()
    )

    def judge_one(stdin):
        tests = (case(stdin, "2\n"),)
        item = JudgeItem(tests=tests, checker="lines", source=ADD_ONE)
        judge_in_one_thread(memory.run, item)
        return runs.num_runs

    # Two are remembered: 1 is known, 3 pushes 1 out, so 1 is run again.
    assert [judge_one(s) for s in ("1", "1", "2", "1", "3", "2")] == [1, 1, 2, 2, 3, 4]


def test_early_stop_goes_on_through_thousands_of_remembered_runs(crew):
    """They are there at once: nothing may recurse once for each."""
    memory = RunMemory(
        crew.submit, max_entries=9, interpreter_version="3", tally=Tally()
    )
    item = JudgeItem(tests=THREE[:1] * 5000, checker="lines", source=ADD_ONE)
    result, _ = judge_in_one_thread(memory.run, item, early_stop=True)
    assert result.is_accepted and len(result.verdicts) == 5000


def test_the_child_cannot_find_the_expected_output(best_pool):
    """It looks at every object and every readable byte of its own memory."""
    hunter = (
        "import gc, re\n"
        "pattern = re.compile('EXPECT' + ':[0-9a-f]{8}')\n"
        "for o in gc.get_objects():\n"
        "    for v in gc.get_referents(o):\n"
        "        text = v if type(v) is str else ''\n"
        "        text = v.decode('latin-1') if type(v) is bytes else text\n"
        "        if pattern.search(text): print(pattern.search(text).group())\n"
        "try:\n"
        "    maps, memory = open('/proc/self/maps'), open('/proc/self/mem', 'rb')\n"
        "    print('read' + 'able')\n"
        "except OSError: pass\n"
        "import os\nprint(os.environ, os.listdir('.'))\n"
    )
    tests = (case("", "EXPECT:9b1d77c2\n"),)
    judgement = judge(best_pool, tests, "lines", hunter)
    (outcome,) = judgement.outcomes
    assert judgement.verdicts == (Verdict.WRONG_OUTPUT,) or not outcome.status.is_ok
    assert b"EXPECT" not in outcome.stdout and b"readable" not in outcome.stdout


def test_a_judgement_keeps_whole_only_what_may_be_shown(best_pool):
    source = (
        "kind = input()\nprint('x' * 100_000)\n"  # 100,001 bytes
        "while kind == 'for ever':\n    print('y' * 1000)\n"
    )
    tests = [
        TestCase(stdin=stdin, expected_stdout="x" * 100_000, visibility=visibility)
        for stdin in ("once", "for ever")
        for visibility in (Visibility.PUBLIC, Visibility.PRIVATE)
    ]
    judgement = judge(best_pool, tests, "lines", source, limits=Limits(output_mib=0.25))
    accepted, over = Verdict.ACCEPTED, Verdict.OUTPUT_LIMIT
    assert judgement.verdicts == (accepted, accepted, over, over)
    sizes = [(len(o.stdout), o.num_bytes_left_out) for o in judgement.outcomes]
    # 64 KiB are 65,536 bytes: 34,465 of 100,001 are left out, of 0.25 MiB 196,608.
    head = 65_536
    assert sizes == [(100_001, 0), (head, 34_465), (head, 196_608), (head, 196_608)]


def test_a_verdict_has_no_truth_value():
    with pytest.raises(TypeError, match="is_accepted"):
        bool(Verdict.WRONG_OUTPUT)
