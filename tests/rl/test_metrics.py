"""Names of metrics, the line of a step and the sandbox's figures."""

import sys

import pytest

from simex.core.errors import UserError
from simex.core.tensorboard import TensorBoardLog
from simex.rl.console import render_line
from simex.rl.infra_watch import InfraWatch
from simex.rl.metric_table import describe, unknown_metrics
from simex.rl.run_metrics import SandboxMeter
from tests.rl.rollout_examples import MIXED, group, rollout, turn
from tests.rl.toy import IdlePool


def test_the_table_knows_fixed_names_and_those_of_objectives():
    assert describe("policy/entropy").startswith("mean entropy")
    assert describe("solve/flat_all_failed") == describe("other/flat_all_failed")
    assert "latency" in describe("sandbox/status/ok")
    names = ["loss", "solve/part/passed", "solve/nothing", "los"]
    assert unknown_metrics(names) == ["solve/nothing", "los"]


def test_the_line_of_a_step():
    values = {
        "solve/reward": 0.25,
        "solve/passed": 0.625,
        "policy/entropy": 0.312,
        "policy/approx_kl": 0.0002,
        "staleness/steps": 2.0,
        "time/step_secs": 3.1,
    }
    line = render_line(
        "train_rl", 3, 12, objectives=["solve"], values=values, secs_left=24.8
    )
    assert line == (
        "train_rl [####        ] 4/12 · solve +0.25, 62 % right · entropy 0.31 · "
        "kl 2e-04 · 2 stale · 3.1 s, 24.8 s left"
    )


def test_the_line_says_where_there_was_no_update():
    line = render_line(
        "x", 0, 1, objectives=[], values={"time/step_secs": 1.0}, secs_left=0.0
    )
    assert "no update: nothing to learn from" in line


def test_figures_of_the_sandbox_are_means_and_those_since_the_last_step():
    pool = IdlePool()
    pool.num_missed = 1
    meter = SandboxMeter(pool)
    pool.num_missed = 3
    # 0.5 s over 2 runs, 3 of 4 verdicts, and 3 - 1 missed since the meter was made.
    assert meter.take() == {
        "sandbox/queue_secs": 0.25,
        "sandbox/verdict/accepted": 0.75,
        "sandbox/deadlines_missed": 2.0,
    }


def test_a_run_stops_when_the_sandbox_goes_on_failing():
    lost = group(rollout(None, turn([2], [4])), rollout(1.0, turn([2], [4])))
    watch = InfraWatch(0.2, 3)
    for groups in ([lost], [lost], [MIXED], [lost], [lost]):
        watch.check(groups)  # never three in a row
    with pytest.raises(UserError, match=r"1 of 2 were.*3 train steps in a row"):
        watch.check([lost])


def test_a_tensorboard_log_holds_the_numbers(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is optional")
    log = TensorBoardLog(tmp_path)
    log.write(3, {"policy/entropy": 0.5})
    log.close()
    (events,) = tmp_path.iterdir()
    assert b"policy/entropy" in events.read_bytes()


def test_without_the_package_a_tensorboard_log_says_what_to_install(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"simex\[tensorboard\]"):
        TensorBoardLog(tmp_path)
