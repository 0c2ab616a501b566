"""A signal always has an effect, whatever the interpreter is at when it comes."""

import subprocess
import sys

import pytest

# The signal comes while a callback of the garbage collector runs, as one of jax does.
IN_A_CALLBACK = """
import gc, signal, sys, time
from simex.core.interrupts import Terminated, signals_never_lost
def terminate(number, frame):
    raise Terminated
signal.signal(signal.SIGTERM, terminate)
left = [getattr(signal, sys.argv[1])] * 2  # the second one is lost likewise
def come(phase, info):
    if left:
        signal.raise_signal(left.pop())
gc.callbacks.append(come)
try:
    with signals_never_lost():
        gc.collect()
        gc.collect()
        time.sleep(20)
        print("went on")
except KeyboardInterrupt as error:
    print(type(error).__name__)
    time.sleep(0.4)  # one that came for each time that it was lost would end this
"""


@pytest.mark.parametrize(
    ("name", "error"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "Terminated")]
)
def test_a_signal_within_a_callback_of_the_collector_comes_once_more(name, error):
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CALLBACK, name],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,  # not the 20 seconds that it sleeps
    )
    assert done.stdout.split() == [error]
    assert done.stderr == ""
