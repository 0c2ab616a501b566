"""Events of small programs, literally; and programs that fight the tracer."""

import pytest

from simex.problems.problem import Limits
from simex.sandbox.outcome import RunStatus
from simex.sandbox.pool import SandboxPool
from simex.traces.collect import TraceFailure, collect_traces
from simex.traces.trace import Event, EventKind, Trace


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(2) as made:
        yield made


def trace(pool, source: str, stdin: str = "", **settings) -> Trace | TraceFailure:
    (result,) = collect_traces(pool, [(source, stdin)], **settings)
    return result


def brief(event: Event) -> tuple:
    return (event.kind.value, event.line, event.function, event.changed, event.value)


def test_events_of_a_small_program(pool):
    source = (
        "def f(n):\n"  # 1
        "    t = 0\n"  # 2
        "    for i in range(n):\n"  # 3
        "        t += i\n"  # 4
        "    return t\n"  # 5
        "x = int(input())\n"  # 6
        "print(f(x))\n"  # 7
        "y = 'done'\n"  # 8
    )
    result = trace(pool, source, "2\n")
    assert isinstance(result, Trace)
    assert [brief(e) for e in result.events] == [
        ("line", 1, "<module>", {}, None),
        ("line", 6, "<module>", {}, None),
        ("line", 7, "<module>", {"x": "2"}, None),
        ("call", 1, "f", {"n": "2"}, None),
        ("line", 2, "f", {}, None),
        ("line", 3, "f", {"t": "0"}, None),
        ("line", 4, "f", {"i": "0"}, None),
        ("line", 3, "f", {}, None),  # t is still 0 + 0
        ("line", 4, "f", {"i": "1"}, None),
        ("line", 3, "f", {"t": "1"}, None),
        ("line", 5, "f", {}, None),
        ("return", 5, "f", {}, "1"),
        ("stdout", 7, "<module>", {}, "1\n"),
        ("line", 8, "<module>", {}, None),
        ("return", 8, "<module>", {"y": "'done'"}, "None"),
    ]
    assert [e.depth for e in result.events] == [0] * 3 + [1] * 9 + [0] * 3
    # "1\n" is printed by line 7, so only the last three events come after it.
    assert [e.stdout_length for e in result.events] == [0] * 12 + [2] * 3
    assert result.stdout == "1\n" and not result.is_truncated
    assert result.python_version.startswith("3.")


def test_an_element_that_changes_shows_without_a_new_binding(pool):
    result = trace(pool, "a = [0] * 3\nfor i in range(2):\n    a[i] = i + 5\n")
    texts = [e.changed["a"] for e in result.events if "a" in e.changed]
    assert texts == ["[0, 0, 0]", "[5, 0, 0]", "[5, 6, 0]"]


def test_an_exception_is_an_event_and_its_frame_does_not_return(pool):
    source = (
        "def f():\n    raise ValueError('bad')\n"
        "try:\n    f()\nexcept ValueError:\n    x = 1\n"
    )
    events = trace(pool, source).events
    assert [brief(e) for e in events if e.kind is EventKind.EXCEPTION] == [
        ("exception", 2, "f", {}, "ValueError: bad"),
        ("exception", 4, "<module>", {}, "ValueError: bad"),
    ]
    returns = [e for e in events if e.kind is EventKind.RETURN]
    assert [e.function for e in returns] == ["<module>"]


def test_a_generator_keeps_its_variables_between_two_entries(pool):
    source = "def g():\n    n = 7\n    yield n\n    yield n\nfor v in g():\n    pass\n"
    changes = [e.changed for e in trace(pool, source).events if e.function == "g"]
    assert changes.count({"n": "7"}) == 1


def test_definitions_and_imports_are_not_state(pool):
    source = (
        "import math\nfrom math import sqrt\nclass A:\n    k = 1\n"
        "def f(): pass\nr = input\nz = 3\n"
    )
    result = trace(pool, source)
    assert [e.changed for e in result.events if e.changed] == [{"z": "3"}]
    assert {e.function for e in result.events} == {"<module>"}


def test_stdout_is_counted_in_characters(pool):
    result = trace(pool, "print('é中')\nx = 1\n")
    # é is 2 bytes, 中 is 3, and the line end 1: 6 bytes, 3 characters.
    assert [e.stdout_length for e in result.events] == [0, 3, 3, 3]


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def __repr__(self):\n        while True: pass\na = A()\nb = [a]",
        (
            "class A:\n    n = 0\n    def __repr__(self):\n        A.n += 1\n"
            "        return ''\na = A()\nprint(A.n)"
        ),
        "class A:\n    def __repr__(self): raise KeyError\nx = {1: A()}",
        (
            "class A:\n    def __eq__(self, o): raise KeyError\n    __hash__ = None\n"
            "a = A()\na = A()"
        ),
        (
            "class D(dict):\n    def items(self):\n        while True: pass\n"
            "    __iter__ = keys = values = items\nd = D(a=1)\nprint(len(d))"
        ),
        (
            "class L(list):\n    def __iter__(self): raise KeyError\n    __len__ = __iter__\n"
            "x = L([1])"
        ),
        (
            "class I(int):\n    def __repr__(self): print('called')\n"
            "    __str__ = __format__ = bit_length = __repr__\nx = [I(3), {I(4): I(5)}]"
        ),
        (
            "class M(type):\n    def __eq__(c, o): print('called')\n"
            "    def __hash__(c):\n        print('called')\n        return 0\n"
            "    def __getattribute__(c, n): print('called')\n"
            "class A(metaclass=M): pass\nx = [object.__new__(A)]"
        ),
        (
            "class A:\n    @property\n    def __dict__(self): print('called')\n"
            "    def __getattribute__(self, n): print('called')\na = A()"
        ),
        "class A:\n    @property\n    def __class__(self): print('called')\na = A()",
        "import builtins\nbuiltins.repr = builtins.len = builtins.type = None\nx = [1]",
        (
            "class E(Exception):\n    def __str__(self): print('called')\n"
            "    __repr__ = __str__\ntry:\n    raise E(1)\nexcept E:\n    pass"
        ),
        "a = []\na.append(a)\nprint(len(a))",
        "a = list(range(100000))\nfor i in range(50):\n    a[i] += 1\nprint(sum(a))",
        "x = 7 ** 300000\nprint(x % 10)",
        (
            "import sys, io\nold = sys.stdout\nsys.stdout = io.StringIO()\nprint(1)\n"
            "sys.stdout = old\nprint(2)"
        ),
        "import os\nprint(1, flush=True)\nos.close(1)",
    ],
)
def test_no_code_of_the_program_is_run_by_the_tracer(pool, source):
    """The traced run prints what the untraced one prints, in no more time."""
    limits = Limits(cpu_secs=1.0)
    result = trace(pool, source, limits=limits)
    assert isinstance(result, Trace), result
    assert "called" not in result.stdout
    assert not result.is_truncated


def test_a_long_run_ends_truncated_and_complete_in_stdout(pool):
    source = "s = 0\nfor i in range(300000):\n    s += i\nprint(s)\n"
    result = trace(pool, source, max_events=1000)
    assert len(result.events) == 1000 and result.is_truncated
    assert result.stdout == "44999850000\n"  # 299999 * 300000 / 2


def test_large_states_are_cut_by_bytes(pool):
    source = (
        "a = ['x' * 200] * 9\nfor i in range(999):\n    a[i % 9] = 'y' * 150 + str(i)\n"
    )
    result = trace(pool, source, max_bytes=20_000)
    assert result.is_truncated
    assert 5 < len(result.events) < 100


@pytest.mark.parametrize(
    "source, reason",
    [
        ("import sys\nsys.settrace(None)\nprint(1)", "switched tracing off"),
        ("import os\nos.write(1, b'1')\nos._exit(0)", "not usable"),
        ("import time\nprint(time.time())", "something else"),
        ("print(id(object()), __import__('os').getpid())", "something else"),
        ("print(1)\nraise SystemExit(3)", "ended in runtime_error"),
        ("import os\nos.write(1, b'\\xff')", "not usable"),
    ],
)
def test_a_trace_that_cannot_be_trusted_is_refused(pool, source, reason):
    result = trace(pool, source)
    assert isinstance(result, TraceFailure)
    assert reason in result.reason


def test_a_program_that_breaks_has_no_trace(pool):
    result = trace(pool, "1 / 0")
    assert isinstance(result, TraceFailure)
    assert result.status is RunStatus.RUNTIME_ERROR


def test_traces_come_in_order(pool):
    programs = [(f"x = {n}\nprint(x)", "") for n in range(12)]
    traces = list(collect_traces(pool, programs, verify=False))
    assert [t.stdout for t in traces] == [f"{n}\n" for n in range(12)]
    assert [t.source for t in traces] == [source for source, _ in programs]
