"""Recorded rollouts written out by hand, harmless and hostile ones."""

import numpy as np

from simex.problems.problem import Visibility
from simex.rollouts.program import ProgramReport, TestReport
from simex.rollouts.record import to_record
from simex.rollouts.rollout import Group, Rollout, Turn
from simex.sampling.samples import Stop

HOSTILE = (
    "</script></pre></details></style><script>document.title='owned'</script>"
    "<img src=http://evil.test/x onerror=\"document.title='owned'\">"
    "{{ 7 * 7 }} {% raw %} \x00\x1b[31m \ud800 ' \" &amp;"
)


def make_test(verdict, **changes):
    settings = {
        "visibility": Visibility.PUBLIC.value,
        "verdict": verdict,
        "is_accepted": verdict == "accepted",
        "stdin": "1 2\n",
        "expected": "3\n",
        "stdout": "3\n" if verdict == "accepted" else "0\n",
    }
    return TestReport(**settings | changes)


def make_turn(text="<think></think>x", *, stop=Stop.STOP_ID, **changes):
    settings = {
        "task": "solve",
        "prompt_ids": (2, 3),
        "completion_ids": (ord("a"), ord("b"), 4),
        "sampler_logprobs": np.array([-0.1, -5.0, -0.2], np.float32),
        "stop": stop,
        "text": text,
        "prompt": f"Solve it. {text}",
    }
    return Turn(**settings | changes)


def make_rollout(reward, *, turns=None, source="print(input())", tests=None):
    tests = tests or (make_test("accepted" if reward > 0 else "wrong_output"),)
    return Rollout(
        turns=turns or (make_turn(),),
        reward=reward,
        parts={"passed": float(reward > 0)},
        notes={"verdicts": "x"},
        programs=(ProgramReport(source=source, tests=tests),),
    )


def decode(ids):
    return "".join("" if i < 5 else chr(i) for i in ids)


def record(*rollouts, objective="solve", **changes):
    group = Group(objective=objective, item_id="p/0", rollouts=rollouts)
    return to_record(group, decode=decode, **changes)


MIXED = record(
    make_rollout(1.0),
    make_rollout(-1.0, turns=(make_turn(stop=Stop.LENGTH),)),
    advantages=((1.0,), (-0.5,)),
)
FAILED = record(make_rollout(-1.0), make_rollout(-1.0), objective="other")
WRONG_SAID = make_test(
    "accepted", is_predicted=True, predicted="7", is_prediction_right=False
)
ODD = record(make_rollout(1.0, tests=(WRONG_SAID,)), make_rollout(-1.0))


def hostile_record():
    test = make_test(
        HOSTILE,
        stdin=HOSTILE,
        expected=HOSTILE,
        stdout=HOSTILE + "\nmore",
        stderr=HOSTILE,
        is_predicted=True,
        predicted=HOSTILE,
    )
    turn = make_turn(HOSTILE, author=HOSTILE, completion_ids=tuple(map(ord, "</p")))
    rollout = Rollout(
        turns=(turn,),
        reward=1.0,
        parts={"passed": 1.0, HOSTILE: 1.0},
        notes={HOSTILE: HOSTILE, "statement": HOSTILE},
        refusals=(HOSTILE,),
        programs=(ProgramReport(source=HOSTILE, tests=(test,), fault=HOSTILE),),
    )
    group = Group(objective=HOSTILE, item_id=HOSTILE, rollouts=(rollout,))
    return to_record(group, decode=lambda ids: HOSTILE * len(ids))
