"""Take one wall away and a named probe gets through: every wall is seen by a test."""

import os
import socket

import pytest

from simex.core.errors import UserError
from simex.sandbox import interpreter, judging
from simex.sandbox.backends import BACKENDS, why_not_working
from simex.sandbox.crew import Crew
from simex.sandbox.judge import JudgeItem
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool
from simex.sandbox.tally import Tally
from tests.sandbox.conformance import PROBE_OF_LAYER, PROBES, get_through, why_not
from tests.sandbox.in_one_thread import case, judge_in_one_thread

SECRET = "EXPECT:9b1d77c2"
# It looks at every object, its source, its stdin and its environment.
HUNTER = (
    "import gc, os, re, sys\n"
    "pattern = re.compile('EXPECT' + ':[0-9a-f]{8}')\n"
    "texts = [repr(os.environ), repr(sys.argv), sys.stdin.read()]\n"
    "for o in gc.get_objects():\n"
    "    texts += [v for v in gc.get_referents(o) if type(v) is str]\n"
    "    texts += [repr(v) for v in gc.get_referents(o) if type(v) is bytes]\n"
    "for text in texts:\n"
    "    for found in pattern.findall(text): print(found)\n"
)


@pytest.fixture
def listener():
    """On the host's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def has_heard(listener) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("backend, layer", PROBE_OF_LAYER)
def test_without_a_layer_its_own_probe_gets_through(backend, layer, listener):
    if why_not(backend):
        pytest.skip(why_not(backend))
    if layer == "uid" and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    name, port = PROBE_OF_LAYER[backend, layer], listener.getsockname()[1]
    others = PROBES[name].hidden_by
    assert not get_through(name, backend, off=others, port=port)
    assert not has_heard(listener)
    assert get_through(name, backend, off=others | {layer}, port=port)
    assert has_heard(listener) is (name == "no_host_loopback")


def hunt(start_run) -> bytes:
    item = JudgeItem(tests=(case("", SECRET),), checker="lines", source=HUNTER)
    judgement, _ = judge_in_one_thread(start_run, item)
    (outcome,) = judgement.outcomes
    assert outcome.status.is_ok, outcome
    return outcome.stdout


@pytest.mark.parametrize("leak", ["none", "stdin", "source", "environment"])
@pytest.mark.parametrize("backend", ["bubblewrap", "bubblewrap_userns", "bare"])
def test_an_expected_output_that_leaks_is_found_by_the_hunter(
    backend, leak, monkeypatch
):
    if why_not(backend):
        pytest.skip(why_not(backend))

    def make_leaky_request(test, source, limits):
        comment = f"x = {test.expected_stdout!r}\n" if leak == "source" else ""
        stdin = test.expected_stdout if leak == "stdin" else test.stdin
        return RunRequest(source=comment + source, stdin=stdin, limits=limits)

    if leak in ("stdin", "source"):
        monkeypatch.setattr(judging, "make_request", make_leaky_request)
    if leak == "environment":
        monkeypatch.setitem(interpreter.ENVIRONMENT, "ANSWER", SECRET)
    crew = Crew(1, BACKENDS[backend], tally=Tally())
    try:
        assert (SECRET.encode() in hunt(crew.submit)) is (leak != "none")
    finally:
        crew.close()


def test_without_seccomp_a_program_that_forks_is_still_swept_away():
    """The fork server is PID 1 and ends whatever a run leaves behind."""
    if why_not_working("bubblewrap") is not None:
        pytest.skip(f"no root jail here: {why_not_working('bubblewrap')}")
    leave_one = "import os, time\nif os.fork() == 0: time.sleep(60)\nprint('gone')"
    count = (
        "import os\nprint(sum(p.isdigit() for p in os.listdir('/proc')))"  # 1 and us
    )
    off = frozenset({"seccomp", "landlock"})
    with SandboxPool(1, "bubblewrap", switched_off=off) as pool:
        assert pool.submit(RunRequest(source=leave_one)).result().stdout == b"gone\n"
        assert pool.submit(RunRequest(source=count)).result().stdout == b"2\n"


def test_an_unknown_layer_is_refused(best_pool):
    name, typo = best_pool.backend_name, frozenset({"secomp"})
    with pytest.raises(UserError, match="Known layers"):
        SandboxPool(1, name, switched_off=typo)
