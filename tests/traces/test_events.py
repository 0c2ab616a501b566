"""Printed text, variables of the module, caps and lost tracing, as events."""

import json
import sys

import pytest

from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool
from simex.traces.collect import TraceFailure, collect_traces
from simex.traces.parse import parse_trace
from simex.traces.records import from_record, to_record
from simex.traces.trace import EventKind, Trace


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(1) as made:
        yield made


def trace(pool, source: str, **settings) -> Trace:
    (result,) = collect_traces(pool, [(source, "")], **settings)
    assert isinstance(result, Trace), result
    return result


def printed(result: Trace) -> list[tuple]:
    kind = EventKind.STDOUT
    return [(e.line, e.function, e.value) for e in result.events if e.kind is kind]


def test_what_a_line_prints_is_an_event_of_that_line(pool):
    source = (
        "def f():\n"  # 1
        "    print('in')\n"  # 2
        "    return 'out'\n"  # 3
        "print('é', end='')\n"  # 4
        "print(f())\n"  # 5
        "import sys, os\n"  # 6
        "sys.stdout.flush(); n = os.write(1, b'raw')\n"  # 7
        "for _ in map(print, [1]): pass\n"  # 8
        "x = [print(i) for i in range(2)]\n"  # 9
    )
    result = trace(pool, source)
    assert printed(result) == [
        (4, "<module>", "é"),
        (2, "f", "in\n"),
        (5, "<module>", "out\n"),
        (7, "<module>", "raw"),
        (8, "<module>", "1\n"),
        (9, "<module>", "0\n1\n"),
    ]
    assert "".join(text for _, _, text in printed(result)) == result.stdout


def test_much_printed_text_is_cut(pool):
    ((_, _, text),) = printed(trace(pool, "print('a' * 5000)\n"))
    assert text == "a" * 1000 + "…"


def test_globals_changed_in_a_function_show_there_and_in_the_modules_next_event(pool):
    source = (
        "a = []\n"  # 1
        "n = 0\n"  # 2
        "def f(v):\n"  # 3
        "    global n\n"  # 4
        "    n += v\n"  # 5
        "    a.append(v)\n"  # 6
        "    globals()['new'] = v\n"  # 7
        "    return v\n"  # 8
        "f(7)\n"  # 9
        "z = 1\n"  # 10
    )
    events = trace(pool, source).events
    inside = [(e.line, e.changed_globals) for e in events if e.changed_globals]
    # An event shows what the line before it did.
    assert inside == [(6, {"n": "7"}), (7, {"a": "[7]"}), (8, {"new": "7"})]
    (after,) = [e for e in events if e.line == 10 and e.kind is EventKind.LINE]
    assert after.changed == {"a": "[7]", "n": "7", "new": "7"}
    assert not after.changed_globals


def test_a_global_that_a_function_puts_back_is_no_change_for_the_module(pool):
    source = (
        "n = 1\ndef f():\n    global n\n    n = 2\n    n = 1\n    return\nf()\nz = 1\n"
    )
    events = trace(pool, source).events
    assert [e.changed_globals for e in events if e.changed_globals] == [
        {"n": "2"},
        {"n": "1"},
    ]
    assert [e.changed for e in events if e.line == 8] == [{}, {"z": "1"}]


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("a = [1, 2, 3]\na[1] = 'x'\na.pop()\na += [4, (5,)]", None),
        ("d = {1: 2}\nd['k'] = None\nd[1] = 3\ndel d[1]\nd[1] = 2", None),
        ("a = [[1], [2]]\na[1].append(3)\na[0] = 4", None),
        ("a = [[1], 2]\nb = a[0]\nb.append(3)\nb = None", None),
        ("s = {3, 1}\ns.add(2)\ns.discard(3)", None),
        ("a = list(range(70))\na[65] = 9\na[0] = 9\ndel a[5:]", None),
        ("a = [bytearray(b'x')]\na[0] = b'x'\na[0] = bytearray(b'x')", None),
        ("a = [1]\na[0] = True\na[0] = 1.0\na[0] = 1", None),
        (
            "class P: pass\np = P()\np.x = 1\np.y = [2]\np.y.append(3)\ndel p.x",
            ["<P>", "<P x=1>", "<P x=1, y=[2]>", "<P x=1, y=[2, 3]>", "<P y=[2, 3]>"],
        ),
        ("a = [1]; a = [2]\na = [1]; a = [3]", None),
        ("q = [(0, 1)]\nq.append((1, [2]))\nq[1][1].append(3)", None),
        (  # reading adds a key
            (
                "d = __import__('collections').defaultdict(int)\nfor k in 'ab':\n"
                "    if d[k] > 0: pass\nx = d['c']; y = 1\nz = 2"
            ),
            [
                "defaultdict({})",
                "defaultdict({'a': 0})",
                "defaultdict({'a': 0, 'b': 0})",
                "defaultdict({'a': 0, 'b': 0, 'c': 0})",
            ],
        ),
        (  # and a field
            (
                "a = type('A', (), {})()\nfrom functools import cached_property\n"
                "type(a).sq = cached_property(lambda self: 9)\n"
                "type(a).sq.__set_name__(type(a), 'sq')\nx = a.sq\nz = 2"
            ),
            ["<A>", "<A sq=9>"],
        ),
    ],
)
def test_each_change_of_a_value_is_seen(pool, source, texts):
    """Against a plain reading of the same values, line by line, in this process."""
    name = source.split(" = ")[0][-1]
    events = trace(pool, source).events
    seen = [e.changed[name] for e in events if name in e.changed]
    assert seen == (texts or read_plainly(source, name))


def test_a_key_that_reading_adds_is_told_by_the_next_line(pool):
    source = (
        "from collections import defaultdict\n"  # 1
        "d = defaultdict(list)\n"  # 2
        "for v in d[1]:\n"  # 3
        "    pass\n"  # 4
        "x = d[2]\n"  # 5
        "y = 1\n"  # 6
    )
    events = trace(pool, source).events
    assert [(e.line, e.changed["d"]) for e in events if "d" in e.changed] == [
        (3, "defaultdict({})"),
        (5, "defaultdict({1: []})"),
        (6, "defaultdict({1: [], 2: []})"),
    ]


def read_plainly(source: str, name: str) -> list[str]:
    """The different texts of `name` after each line, by `repr`."""
    namespace: dict = {}
    texts: list[str] = []
    for line in source.splitlines():
        exec(line, namespace)  # noqa: S102 (our own literal lines above)
        value = namespace.get(name)
        text = repr(value)
        if type(value) is list and len(value) > 64:
            head = ", ".join(map(repr, value[:64]))
            text = f"[{head}, … {len(value) - 64} more]"
        if texts[-1:] != [text]:
            texts.append(text)
    return texts


def test_a_lone_surrogate_is_spelled_out_so_that_a_file_can_hold_it(pool):
    source = (
        "try:\n    raise ValueError('bad 😀' + chr(0xD800))\nexcept ValueError:\n"
        "    print('no')\nclass A: pass\na = A()\nsetattr(a, chr(0xDFFF), 1)\n"
    )
    result = trace(pool, source)
    (error,) = [e for e in result.events if e.kind is EventKind.EXCEPTION]
    assert error.value == "ValueError: bad 😀\\ud800"
    assert result.events[-1].changed == {"a": "<A \\udfff=1>"}
    text = json.dumps(to_record(result), ensure_ascii=False)
    assert from_record(json.loads(text.encode("utf-8"))) == result


@pytest.mark.parametrize("ending", ["print('deep')", "pass"])
def test_near_the_recursion_limit_a_trace_is_whole_or_lost(pool, ending):
    source = (
        "import sys\nsys.setrecursionlimit(200)\n"
        "def f(n):\n    return n and f(n - 1) + 1\n"
        f"try:\n    x = f(DEPTH)\nexcept RecursionError:\n    {ending}\n"
    )
    programs = [(source.replace("DEPTH", str(n)), "") for n in range(184, 202)]
    found = list(collect_traces(pool, programs))
    for n, result in zip(range(184, 202), found, strict=True):
        if isinstance(result, TraceFailure):
            assert "tracing_lost" in result.reason or "something else" in result.reason
            continue
        calls = [e.changed for e in result.events if e.kind is EventKind.CALL]
        assert calls == [{"n": str(k)} for k in range(n, -1, -1)]
        assert result.events[-1].changed == {"x": str(n)}
    # 184 calls leave room for us, 201 none for the last of them.
    assert isinstance(found[0], Trace) and isinstance(found[-1], TraceFailure)


def test_a_run_without_end_leaves_its_events_up_to_the_cap(pool):
    request = RunRequest(
        source="n = 0\nwhile True:\n    n += 1\n", is_traced=True, max_events=50
    )
    outcome = pool.submit(request).result()
    assert not outcome.status.is_ok
    result = parse_trace(outcome.trace or b"", request=request, stdout=b"")
    assert len(result.events) == 50 and result.is_truncated


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="sys.monitoring is not lost")
def test_tracing_that_the_program_took_and_gave_back_is_lost(pool):
    source = "import sys\nt = sys.gettrace()\nsys.settrace(None)\nsys.settrace(t)\n"
    (result,) = collect_traces(pool, [(source, "")])
    assert isinstance(result, TraceFailure)
    assert result.reason.startswith("tracing_lost")


def test_a_program_that_prints_differently_each_time_is_refused(pool):
    source = "import time\nprint(time.perf_counter_ns())\n"
    (result,) = collect_traces(pool, [(source, "")])
    assert isinstance(result, TraceFailure)
    assert "something else" in result.reason


def test_a_frame_left_by_an_exception_after_finally_does_not_return(pool):
    source = (
        "def f():\n    try:\n        1 / 0\n    finally:\n        print('f')\n"
        "try:\n    f()\nexcept ZeroDivisionError:\n    pass\n"
    )
    result = trace(pool, source)
    returns = [e.function for e in result.events if e.kind is EventKind.RETURN]
    assert returns == ["<module>"]
    assert printed(result) == [(5, "f", "f\n")]


def test_a_generator_that_leaves_a_with_by_an_exception_does_not_return(pool):
    source = (
        "class C:\n    def __enter__(self):\n        return 1\n"
        "    def __exit__(self, *a):\n        return False\n"
        "def g():\n    with C():\n        x = [\n            (yield 1),\n"
        "            (yield)]\n"
        "a = g()\nnext(a)\nnext(a)\ntry:\n    a.throw(ValueError('a'))\n"
        "except ValueError:\n    pass\n"
        "b = g()\nnext(b)\nb.close()\n"
    )
    result = trace(pool, source)
    returns = [
        (e.line, e.value)
        for e in result.events
        if e.kind is EventKind.RETURN and e.function == "g"
    ]
    # What yields: a twice, the second time nothing, and b once.
    assert returns == [(9, "1"), (10, "None"), (9, "1")]


def test_records_keep_all_of_a_trace(pool):
    result = trace(
        pool, "n = 0\ndef f():\n    global n\n    n = 1\n    print(n)\nf()\n"
    )
    assert from_record(to_record(result)) == result


ADVERSARIES = {
    "metaclass": (
        "class M(type):\n    def __getattribute__(c, n): raise KeyError(n)\n"
        "    def __hash__(c): raise KeyError\n    def __eq__(c, o): raise KeyError\n"
        "    def __instancecheck__(c, o): raise KeyError\n"
        "    def __subclasscheck__(c, o): raise KeyError\n"
        "class A(metaclass=M): pass\nx = {1: object.__new__(A)}\nprint(2)"
    ),
    "hash counted": (
        "n = 0\nclass K:\n    def __hash__(s):\n        global n\n        n += 1\n"
        "        return 1\n    def __eq__(s, o):\n        global n\n        n += 100\n"
        "        return False\nk = K()\nd = {k: 1}\nd[1] = 2\nglobals()['z'] = d\nprint(n)"
    ),
    "deleted at once": (
        "class A:\n    def __del__(s): print('gone')\n"
        "def f():\n    a = A()\n    b = [a]\n    del a\n    del b\n    print('after')\n"
        "f()\na = A()\nl = [a]\na = None\nl[0] = 1\nprint('end')"
    ),
    "async": (
        "import asyncio\nasync def g(n):\n    await asyncio.sleep(0)\n    return n * 2\n"
        "async def main():\n    print(await asyncio.gather(g(1), g(2)))\n"
        "asyncio.run(main())"
    ),
    "threads": (
        "import threading\nr = []\ndef w(n):\n    for i in range(50): r.append(n)\n"
        "t = [threading.Thread(target=w, args=(i,)) for i in range(3)]\n"
        "for x in t: x.start()\nfor x in t: x.join()\nprint(len(r))"
    ),
    "finally": (
        "def f():\n    try:\n        1 / 0\n    finally:\n        return 5\n"
        "def g():\n    for i in range(3):\n        try:\n            continue\n"
        "        finally:\n            print(i)\n    raise KeyError('k')\n"
        "print(f())\ntry:\n    g()\nexcept KeyError as e:\n    print(e)\n"
        "print('e' in globals())"
    ),
    "syntax": (
        "if (n := 10) > 5: print(n)\nmatch [1, 2]:\n    case [a, b]: print(a + b)\n"
        "def outer():\n    k = 0\n    def inner():\n        nonlocal k\n        k += 1\n"
        "        return k\n    return inner\nc = outer()\nprint(c(), c())\n"
        "def deco(f):\n    return lambda *a: f(*a) + 1\n@deco\ndef h(x): return x\n"
        "print(h(1))\nclass B:\n    t = [i for i in range(3)]\n    print(t)\n"
        "exec('y = 3\\nfor i in range(2): print(y)')\ndel y\nprint('y' in globals())"
    ),
    "generators": (
        "def g():\n    try:\n        x = yield 1\n        print(x)\n        yield 2\n"
        "    except ValueError:\n        yield 'caught'\n    finally:\n"
        "        print('closed')\ni = g()\nprint(next(i), i.throw(ValueError))\ni.close()\n"
        "j = g()\nprint(next(j), j.send(5))\nj.close()\nprint(sum(v for v in range(4)))"
    ),
    "stdout replaced": (
        "import sys, io\nclass W:\n    def __init__(s, f): s.f = f\n"
        "    def write(s, t): return s.f.write(t.upper())\n    def flush(s): s.f.flush()\n"
        "sys.stdout = W(sys.stdout)\nprint('a')\nsys.stdout = sys.__stdout__\nprint('b')"
    ),
    "builtins replaced": (
        "import builtins, json\nbuiltins.id = builtins.sorted = builtins.len = None\n"
        "builtins.map = builtins.zip = builtins.RuntimeError = None\n"
        "json.encoder.encode_basestring_ascii = None\nx = [1, [2]]\nprint(x)"
    ),
    "shared without end": (
        "a = [0]\nfor _ in range(80):\n    a = [a, a]\nb = [1]\nb[0] = a\nb = b\n"
        "d = {}\nd['d'] = d\nt = ([],)\nt[0].append(t)\nprint(len(a))"
    ),
    "locals": (
        "def f(a):\n    b = a + 1\n    names = sorted(locals())\n"
        "    locals()['b'] = 9\n    return names, b\nprint(f(1))"
    ),
    "slots and properties": (
        "class S:\n    __slots__ = ('a',)\n    def __getattribute__(s, n): raise KeyError\n"
        "class Q:\n    @property\n    def v(s):\n        print('called')\n        return 1\n"
        "s = S()\nq = Q()\nx = [s, q]\nprint(1)"
    ),
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_a_traced_program_prints_what_it_prints_untraced(pool, name):
    result = trace(pool, ADVERSARIES[name])
    assert result.stdout
    assert not result.is_truncated
    assert "called" not in result.stdout
