"""The shared case file: adversarial programs with the verdicts that are accepted.

It lies beside the repository and is not part of it; without it these tests are
skipped. Every property it stands for has a test of its own in this folder too.
"""

import contextlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from simex.problems.problem import Limits
from simex.sandbox.backends.layers import count_usable_cores
from simex.sandbox.call import encode_call
from simex.sandbox.checkers import check_lines, make_lines_checker
from simex.sandbox.examine import judge_call, judge_run
from simex.sandbox.outcome import RunOutcome, RunRequest, RunStatus
from simex.sandbox.pool import SandboxPool
from tests.sandbox.conftest import JAILS

CASES = pathlib.Path(__file__).parents[3] / "shared" / "hostile_cases.jsonl"
LIMITS = Limits(cpu_secs=1.5, memory_mib=512, output_mib=8.0)
# Filling memory costs CPU time in page faults, the more the busier the machine is; these
# cases are about which limit stops them, so the other one is out of their reach.
MEMORY_LIMITS = Limits(cpu_secs=8.0, memory_mib=512, output_mib=8.0)
OUR_WORDS = {
    "passed": "accepted",
    "wrong_answer": "wrong_output",
    "timeout": "time_limit",
}
# These use their whole second of CPU or wait for the wall clock.
SLOW = frozenset(
    [
        "t_loop",
        "t_right_then_loop",
        "t_sigstop",
        "t_deadlock",
        "t_c_call",
        "t_sum_range",
        "t_regex",
        "t_threads_burn",
        "t_gc_del_loop",
        "s_eval_bomb",
        "m_small_ints",
        "m_mmap",
        "m_str_double",
        "p_fork_bomb",
        "m_catch",
        "c_huge_line",
        "g_huge_result",
        "g_timeout_second",
    ]
)
CATEGORIES = [
    "io",
    "exit",
    "time",
    "stack",
    "memory",
    "output",
    "process",
    "fs",
    "network",
    "leak",
    "compare",
    "call",
    "determinism",
    "trace",
]


def load_cases() -> list[dict]:
    if not CASES.exists():
        pytest.skip(f"{CASES} is not here")
    return [json.loads(line) for line in CASES.read_text().splitlines()]


def make_requests(cases: list[dict]) -> Iterator[tuple[dict, RunRequest]]:
    for case in cases:
        is_to_be_traced = [False] * case.get("repeat", 1)
        if case.get("mode") == "run_and_trace":
            is_to_be_traced.append(True)
        for is_traced in is_to_be_traced:
            yield (
                case,
                RunRequest(
                    source=case["program"],
                    stdin="" if "call" in case else case["stdin"],
                    call=make_call(case),
                    limits=MEMORY_LIMITS if case["category"] == "memory" else LIMITS,
                    is_traced=is_traced,
                ),
            )


def make_call(case: dict) -> bytes | None:
    call = case.get("call")
    return None if call is None else encode_call(call["fn"], call["args"])


def verdict_of(case: dict, outcome: RunOutcome) -> str:
    if "call" in case:
        return judge_call(outcome, case["call"]["expected"]).value
    tolerance = case.get("float_tol")
    check = check_lines if tolerance is None else make_lines_checker(tolerance)
    return judge_run(outcome, case["expected_output"] or "", check).value


def find_complaint(case: dict, outcome: RunOutcome) -> str | None:
    """What is wrong with this outcome, or None."""
    accepted = {OUR_WORDS.get(word, word) for word in case["accept"]}
    expected = case["expected_output"]
    if expected is None and "call" not in case and outcome.status.is_ok:
        return None if "accepted" in accepted else "it ended well"
    verdict = verdict_of(case, outcome)
    if verdict in accepted:
        return None
    return f"{verdict}, not {sorted(accepted)}: {outcome.stderr_tail[-200:]}"


def check_cases(pool: SandboxPool, cases: list[dict]) -> None:
    assert cases
    pairs = list(make_requests(cases))
    complaints, stdouts = [], {}
    for (case, request), outcome in zip(pairs, pool.run_all(r for _, r in pairs)):
        # An infra error would be a case that takes the sandbox down.
        assert isinstance(outcome, RunOutcome), (case["id"], outcome)
        complaint = find_complaint(case, outcome)
        if complaint is not None:
            complaints.append(f"{case['id']} (traced: {request.is_traced}) {complaint}")
        if case.get("must_be_identical"):
            stdouts.setdefault(case["id"], set()).add(outcome.stdout)
    assert not complaints
    assert all(len(different) == 1 for different in stdouts.values()), stdouts
    after = pool.submit(RunRequest(source="print('still here')")).result()
    assert after.stdout == b"still here\n"


@pytest.fixture(autouse=True)
def secret_in_our_environment(monkeypatch):
    monkeypatch.setenv("SIMEX_TEST_TOKEN", "x")  # what case k_environ looks for


@pytest.mark.parametrize("category", CATEGORIES)
def test_quick_cases_get_an_accepted_verdict(pool, category):
    cases = [c for c in load_cases() if c["category"] == category]
    check_cases(pool, [c for c in cases if c["id"] not in SLOW])


@pytest.mark.slow
def test_slow_cases_get_an_accepted_verdict(pool):
    check_cases(pool, [c for c in load_cases() if c["id"] in SLOW])


@pytest.mark.long
@pytest.mark.parametrize("backend", JAILS)
def test_three_busy_processes_a_core_change_no_verdict(pools, backend):
    busy = [sys.executable, "-S", "-c", "while True: pass"]
    with contextlib.ExitStack() as stack:
        for _ in range(3 * count_usable_cores()):
            process = stack.enter_context(subprocess.Popen(busy))
            stack.callback(process.kill)  # before it is waited for
        check_cases(pools(backend), load_cases())


def test_an_accepted_verdict_elsewhere_would_be_noticed():
    case = {"accept": ["timeout"], "expected_output": "1\n"}
    outcome = RunOutcome(
        status=RunStatus.OK,
        stdout=b"1\n",
        stderr_tail="",
        cpu_secs=0.0,
        wall_secs=0.0,
        backend="none",
    )
    assert find_complaint(case, outcome) is not None
