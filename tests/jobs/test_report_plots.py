"""The curves of what is looked at while a model trains."""

import json

from simex.jobs.report_plots import (
    find_rollout_pages,
    load_analysis,
    plot_held_out,
    plot_held_out_rewards,
)


def write_metrics(folder, *records):
    folder.mkdir(parents=True)
    lines = (json.dumps(record) + "\n" for record in records)
    (folder / "metrics.jsonl").write_text("".join(lines))


def test_held_out_losses_and_rewards_are_drawn_by_task(tmp_path):
    write_metrics(
        tmp_path / "nlex/train_sft",
        {"step": 9, "loss": 3.0},
        {"step": 19, "validation/loss": 2.0, "validation/solve/loss": 2.5,
         "validation/solve/reproduced": 0.25},
        {"step": 29, "validation/loss": 1.0, "validation/solve/loss": 1.5,
         "validation/solve/reproduced": 0.5},
    )  # fmt: skip
    write_metrics(tmp_path / "direct/train_sft", {"step": 9, "loss": 3.0})
    losses, reproduced = plot_held_out(tmp_path)
    ((series,), (share,)) = losses.series, reproduced.series
    assert (series.label, series.x, series.y) == ("NLEX: solve", (19, 29), (2.5, 1.5))
    assert share.y == (0.25, 0.5) and reproduced.is_share and not losses.is_share
    write_metrics(
        tmp_path / "train_rl",
        {"step": 1, "validation/reward": 0.0, "validation/solve/reward": -1.0},
    )
    (rewards,) = plot_held_out_rewards(tmp_path)
    assert [(s.label, s.x, s.y) for s in rewards.series] == [("solve", (1,), (-1.0,))]


def test_a_run_that_did_not_look_has_no_such_curve(tmp_path):
    for stage in ("nlex/train_sft", "direct/train_sft", "train_rl"):
        write_metrics(tmp_path / stage, {"step": 9, "loss": 3.0})
    assert list(plot_held_out(tmp_path)) == []
    assert list(plot_held_out_rewards(tmp_path)) == []


def test_files_of_stages_that_the_run_does_not_have_are_not_shown(tmp_path):
    analysis = tmp_path / "analyse_predictions" / "analysis.json"
    analysis.parent.mkdir()
    analysis.write_text('{"rl": {}}')
    for stage in ("train_rl", "more/train_rl"):
        folder = tmp_path / stage / "rollouts"
        folder.mkdir(parents=True)
        (folder / "step_0.html").write_text("")

    def shown(stages):
        owner = {"path": "x.gin", "stages": stages, "swept": []}
        (tmp_path / ".experiment.json").write_text(json.dumps(owner))
        pages = [
            link.path.split("/rollouts")[0] for link in find_rollout_pages(tmp_path)
        ]
        return sorted(pages), load_analysis(tmp_path)

    every = ["more/train_rl", "train_rl"]
    assert shown([*every, "analyse_predictions"]) == (every, {"rl": {}})
    # A copy of that workdir, in which another experiment runs.
    assert shown(["train_rl"]) == (["train_rl"], {})
