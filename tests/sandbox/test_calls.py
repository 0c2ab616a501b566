"""Calls in the box: the value comes out by its own channel, and only the value."""

import pytest

from simex.core.errors import UserError
from simex.problems.problem import CallCase, Limits, TestCase, Visibility
from simex.sandbox.call import encode_call
from simex.sandbox.examine import describe, make_request
from simex.sandbox.judge import judge
from simex.sandbox.outcome import RunStatus, Verdict
from simex.sandbox.pool import SandboxPool
from simex.sandbox.results import ExpectedResult


def call_case(function, *arguments, gives) -> CallCase:
    return CallCase(
        function=function,
        arguments=arguments,
        expected_result=gives,
        visibility=Visibility.PRIVATE,
    )


@pytest.fixture
def call(run):
    """Call `f` of a source in each jail; the outcome."""

    def call_f(source: str, *arguments):
        return run(source, call=encode_call("f", arguments))

    return call_f


RICH = [
    None,
    True,
    -3,
    2.5,
    1j,
    "é",
    b"\xff",
    (1, [2]),
    {3},
    frozenset(),
    {1: {"a": 0}},
]


def test_arguments_and_result_keep_their_types(call):
    outcome = call("def f(*values): return [list(map(repr, values)), values]", *RICH)
    expected = ExpectedResult([list(map(repr, RICH)), tuple(RICH)])
    assert outcome.status is RunStatus.OK
    assert expected.find_fault(outcome.result) is None


@pytest.mark.parametrize(
    "source",
    [
        "print(7)\ndef f(a): print(7); return a + 1",  # stdout is no result
        "import os\ndef f(a): os.write(1, b'i7\\n'); os.write(2, b'i7\\n'); return a + 1",
        "class Solution:\n    def f(self, a): return a + 1",
        # A method goes before a function of its name, which may be an import.
        "class Solution:\n    def f(self, a): return a + 1\ndef f(a): return a",
        # What a class inherits or holds as data is no method.
        "class Solution(list):\n    pass\nSolution.f = 3\ndef f(a): return a + 1",
        ("from typing import NamedTuple as N\nclass Solution(N):\n    f: int\n\n"
        "def f(a): return a + 1"),
        # Without a function of that name what is inherited will do.
        "class A:\n    def f(self, a): return a + 1\nclass Solution(A): pass",
        "class Solution:\n    @classmethod\n    def f(cls, a): return a + 1",
        "f = lambda a: a + 1",
        "import sys\ndef f(a):\n    sys.stdout = None\n    return a + 1",
        "def f(a): return a + 1\nif __name__ == '__main__': f.ok = 1\nf.ok",
        "import atexit\natexit.register(print, 9)\ndef f(a): return a + 1",
        ("import builtins\nfor n in ('len', 'type', 'iter', 'repr', 'str', 'int', 'list'):\n"
        "    setattr(builtins, n, None)\ndef f(a): return a + 1"),
        ("import sys, os\ndef f(a): return a + 1\nfor m in list(sys.modules.values()):\n"
        "    if hasattr(m, 'write') and m is not sys: m.write = None"),
        ("class N:\n    __module__ = 'numpy'\n    def tolist(self): return self.v\n"
        "def f(a):\n    n = N(); n.v = a + 1\n    return n"),
    ],
)  # fmt: skip
def test_honest_functions_are_accepted(call, source):
    outcome = call(source, 41)
    assert (outcome.status, outcome.result) == (RunStatus.OK, b"i2a\n")


def judge_f(pool, source, *, gives):
    case = call_case("f", 41, gives=gives)
    (verdict,) = judge(pool, [case], "lines", source).verdicts
    return verdict


WRONG, RAISED = Verdict.WRONG_OUTPUT, Verdict.RUNTIME_ERROR


@pytest.mark.parametrize(
    "source, gives, verdict",
    [
        ("class E:\n    __eq__ = lambda *a: True\ndef f(a): return E()", 42, WRONG),
        ("class I(int):\n    __eq__ = lambda *a: True\ndef f(a): return I(42)", 42, WRONG),
        ("class L(list): pass\ndef f(a): return L([1])", [1], WRONG),
        ("import enum\nclass E(enum.IntEnum): X = 42\ndef f(a): return E.X", 42, WRONG),
        ("def f(a): return f", 42, WRONG),
        ("def f(a):\n    x = [1]; x.append(x); return x", [1], WRONG),
        (("class N:\n    __module__ = 'numpy'\n    def tolist(self): return self\n"
         "def f(a): return N()"), 42, WRONG),
        ("def f(a): yield 42", [42], WRONG),
        ("def f(a): return True", 1, WRONG),
        ("def f(a): raise ValueError", None, RAISED),
        ("def f(): return 42", 42, RAISED),
        ("f = 42", 42, RAISED),
        ("def g(a): return 42", 42, RAISED),
        ("import sys\nsys.exit(0)", None, RAISED),
        ("import sys\ndef f(a): sys.exit(0)", None, RAISED),
        ("import os\ndef f(a): os._exit(0)", None, RAISED),
        ("def f(a): return 42\nimport sys, atexit, os\natexit.register(os._exit, 3)", 42,
         RAISED),  # a bad end after the right value
        (("class M(type):\n    @property\n    def __module__(c): raise KeyError\n"
         "class A(metaclass=M): pass\ndef f(a): return A()"), 42, RAISED),
        ("def f(a): return bytearray(1 << 44)", 42, Verdict.MEMORY_LIMIT),
        ("def f(a): return 'x' * 20_000_000", 42, Verdict.OUTPUT_LIMIT),
        ("def f(a): return 42\n@f", 42, Verdict.COMPILE_ERROR),
        # Writes a well-formed result itself, everywhere it can, and leaves.
        (("import os\ndef f(a):\n    for d in range(64):\n        try: os.write(d, b'i7\\n')\n"
         "        except OSError: pass\n    os._exit(0)"), 42, WRONG),
    ],
)  # fmt: skip
def test_only_the_value_itself_is_accepted(best_pool, source, gives, verdict):
    assert judge_f(best_pool, source, gives=gives) is verdict


def test_nothing_of_what_is_expected_reaches_the_child(best_pool):
    hunter = (
        "import gc, os\n"
        "def f(a):\n"
        "    mark = chr(58).join(['EXPECT', ''])\n"
        "    found = [o for o in gc.get_objects() if type(o) in (list, tuple, dict)]\n"
        "    texts = [x for o in found for x in gc.get_referents(o) if type(x) is str]\n"
        "    data = b''.join(os.pread(d, 4096, 0) for d in range(64) if is_open(d))\n"
        "    hit = [t for t in texts if t[:7] == mark]\n"
        "    return hit[0] if hit else data.decode('latin-1')\n"
        "def is_open(d):\n"
        "    try: return os.pread(d, 1, 0) is not None\n"
        "    except OSError: return False\n"
    )
    case = call_case("f", 1, gives="EXPECT:9b1d77c2")
    judgement = judge(best_pool, [case], "lines", hunter)
    assert judgement.verdicts == (WRONG,)
    text = bytes.fromhex(judgement.outcomes[0].result[1:-1].decode())
    for form in (b"EXPECT:", b"EXPECT:".hex().encode()):
        assert form not in text


def test_each_call_has_a_process_of_its_own():
    source = "n = 0\ndef f():\n    global n\n    n += 1\n    return n"
    cases = [call_case("f", gives=1)] * 3
    with SandboxPool(1, max_remembered=0) as pool:
        assert judge(pool, cases, "lines", source).is_accepted


def test_calls_and_stdins_are_judged_together_and_remembered_apart(best_pool):
    stdin = TestCase(stdin="", expected_stdout="2", visibility=Visibility.PRIVATE)
    cases = [stdin, call_case("f", 1, gives=2.0000001), call_case("f", 2, gives=3)]
    source = "def f(a): return a + 1\nprint(f(1))"
    judgement = judge(best_pool, cases, "lines", source, float_tol=1e-5)
    assert judgement.is_accepted
    assert not judge(best_pool, cases, "lines", source).is_accepted
    with pytest.raises(UserError, match="lines, kattis, kattis_case only"):
        judge(best_pool, cases, "codecontests", source, float_tol=1e-5)
    assert judge(
        best_pool, cases[2:], "codecontests", source, float_tol=1e-5
    ).is_accepted


def test_a_test_that_failed_is_described(best_pool):
    case = call_case("f", 1, gives=2)

    def say(source: str, test=case) -> str:
        outcome = best_pool.submit(make_request(test, source, Limits())).result()
        judgement = judge(best_pool, [test], "lines", source)
        return describe(test, outcome, judgement.verdicts[0])

    assert say("def f(a): return 2") == ""
    assert say("def f(a): return 3") == "it returned another value"
    assert "plain builtin values" in say("def f(a): return object()")
    assert say("exit()") == "the program ended before the function returned"
    assert say("def f(a): 1 / 0") == "ZeroDivisionError: division by zero"
    stdin = TestCase(stdin="", expected_stdout="1\n2\n", visibility=Visibility.PRIVATE)
    assert say("print('1\\n3')", stdin) == "line 2: printed '3', expected '2'"
    assert say("print('1\\n2\\n3')", stdin) == "printed 3 lines, expected 2"


def test_the_unsafe_backend_calls_functions_too():
    with pytest.warns(RuntimeWarning, match="WITHOUT A JAIL"):
        pool = SandboxPool(1, "unsafe", allow_unsafe=True)
    with pool:
        assert judge_f(pool, "def f(a): print(1); return [a]", gives=(41,)).is_accepted
        assert judge_f(pool, "def f(a): exit()", gives=None) is RAISED
