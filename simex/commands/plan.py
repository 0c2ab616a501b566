"""`simex plan`: what the stages of an experiment need on devices that are not here."""

import argparse
import json
import sys

from simex.commands.experiment import add_experiment

HELP = "compile an experiment for a TPU slice that is not here, and say what it needs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex plan`."""
    add_experiment(parser, workdir=None)
    parser.add_argument(
        "--topology",
        required=True,
        metavar="KIND:AxB[xC]",
        help="v5e:4x4, v5p:4x4x8, v6e:16x16, or cpu:8 for fake devices",
    )
    parser.add_argument(
        "--slices", type=int, default=1, help="so many slices of that shape (1)"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="STAGE or STAGE:PROGRAM",
        help="plan these alone, e.g. train_rl:rl_gradients; repeatable",
    )
    parser.add_argument(
        "--completion-tokens",
        type=int,
        metavar="N",
        help="mean length of a completion (default: as long as it may be)",
    )
    parser.add_argument(
        "--prompt-tokens",
        type=int,
        default=0,
        metavar="N",
        help="mean length of a prompt, in the updates of RL (default: not counted)",
    )
    parser.add_argument(
        "--smallest",
        action="store_true",
        help="also compile for smaller slices, to find the smallest that fits",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def command(arguments: argparse.Namespace) -> int:
    """Prints the plan; 0 if everything fits, else 2."""
    from simex.core.config import load_experiment
    from simex.core.errors import UserError
    from simex.jobs.planned import planned_stages
    from simex.jobs.wiring import register
    from simex.plans.plan import make_plan
    from simex.plans.render import render_line, render_plan
    from simex.plans.topology import parse_topology

    if arguments.prompt_tokens < 0:
        raise UserError(
            f"--prompt-tokens must be at least 0; got {arguments.prompt_tokens}."
        )
    register()
    topology = parse_topology(arguments.topology, num_slices=arguments.slices)
    experiment = load_experiment(arguments.experiment, arguments.overrides)
    plan = make_plan(
        planned_stages(experiment),
        topology,
        only=arguments.only,
        completion_tokens=arguments.completion_tokens,
        prompt_tokens=arguments.prompt_tokens,
        searches=arguments.smallest,
        say=lambda report: print(render_line(report), file=sys.stderr, flush=True),
    )
    if arguments.json:
        print(json.dumps(plan.to_json(), indent=2))
    else:
        print(render_plan(plan, experiment=str(experiment.path)))
    return 0 if plan.fits else 2
