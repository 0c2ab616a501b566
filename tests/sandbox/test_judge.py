"""Verdicts: only the judge gives them, and only for what was really run."""

import pytest

from simex.core.errors import InfraError, UserError
from simex.problems.problem import TestCase, Visibility
from simex.sandbox.judge import Judge, JudgeItem, judge, judge_all
from simex.sandbox.outcome import RunRequest, Verdict

ADD_ONE = "print(int(input()) + 1)"


def case(stdin: str, expected: str) -> TestCase:
    return TestCase(
        stdin=stdin, expected_stdout=expected, visibility=Visibility.PRIVATE
    )


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
    before = best_pool.counters.num_runs
    judgement = judge(best_pool, THREE, "lines", ADD_ONE, early_stop=True)
    assert judgement.verdicts == (
        Verdict.ACCEPTED,
        Verdict.WRONG_OUTPUT,
        Verdict.NOT_RUN,
    )
    assert judgement.outcomes[2] is None and not judgement.is_accepted
    assert best_pool.counters.num_runs - before == 2


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


def test_an_infra_error_is_neither_a_pass_nor_a_fail(best_pool, monkeypatch):
    def submit(request: RunRequest):
        if request.stdin == "3":
            raise InfraError("the fork server ended")
        return original(request)

    original = best_pool.submit
    monkeypatch.setattr(best_pool, "submit", submit)
    items = [(THREE, "lines", ADD_ONE), (THREE[:1], "lines", ADD_ONE)]
    failed, judged = judge_all(best_pool, items)
    assert isinstance(failed, InfraError)
    assert judged.is_accepted


def test_many_programs_are_judged_in_order(best_pool):
    items = [
        JudgeItem(tests=(case("1", f"{n}\n"),), checker="lines", source=f"print({n})")
        for n in range(30)
    ]
    assert all(j.is_accepted for j in judge_all(best_pool, items, early_stop=True))


def test_the_same_run_is_not_made_twice(best_pool):
    judge_once = Judge(best_pool)
    before = best_pool.counters.num_runs
    for expected in ("2\n", "3\n"):
        judge_once.judge((case("1", expected),), "lines", ADD_ONE)
    assert best_pool.counters.num_runs - before == 1


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


def test_a_verdict_has_no_truth_value():
    with pytest.raises(TypeError, match="is_accepted"):
        bool(Verdict.WRONG_OUTPUT)
