"""`simex score`: generations that another tool wrote, by a benchmark's own rules.

The benchmark's own file is given with --data; generations are read in the native forms:
CRUXEval's {"sample_0": [...]}, LiveCodeBench's [{"question_id", "code_list"}], and the
samples.jsonl of human-eval and evalplus. The results hold the official score and a
stricter one side by side, each as pass@k with standard error and 95 % interval over
items, the verdicts, both rules in words, limits, machine and file hashes; and what
--about FILE says of model, sampling and data, which no file of generations holds.
"""

import argparse
import json
import os
import pathlib

from simex.core.errors import UserError
from simex.core.progress import progress

HELP = "score generations in a benchmark's own format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex score`."""
    parser.add_argument("benchmark", help="e.g. cruxeval-o, humaneval, livecodebench")
    parser.add_argument(
        "--data", required=True, type=pathlib.Path, help="the benchmark's own file"
    )
    parser.add_argument(
        "--generations",
        required=True,
        type=pathlib.Path,
        metavar="FILE",
        help="what the tool wrote",
    )
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        metavar="RESULTS.json",
        help="where the results go",
    )
    parser.add_argument(
        "--k",
        type=_parse_ks,
        default=(1, 5, 10),
        metavar="K[,K]",
        help="pass@k for these k; those above the number of generations are left out",
    )
    parser.add_argument(
        "--about",
        type=pathlib.Path,
        metavar="FILE.json",
        help="an object with model, sampling, data_version, data_split",
    )
    for word, which in (("since", "first"), ("until", "last")):
        parser.add_argument(
            f"--{word}",
            default="",
            metavar="YYYY-MM-DD",
            help=f"the {which} date of the items that count (LiveCodeBench)",
        )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="score what is there; the results are marked as partial",
    )
    parser.add_argument(
        "--export",
        action="append",
        default=[],
        metavar="FORM=FILE",
        help="also write the results as human-eval, evalplus or lm-eval do; repeatable",
    )
    parser.add_argument("--workers", type=int, help="jails (default: one a core)")


def command(arguments: argparse.Namespace) -> int:
    """Scores what the words ask for; the exit code."""
    from simex.core.files import write_atomically
    from simex.evals.scoring.benchmarks import get_benchmark, items_between, load_items
    from simex.evals.scoring.exporters import export_results
    from simex.evals.scoring.generations import read_generations
    from simex.evals.scoring.grading import grade_all
    from simex.evals.scoring.results_file import About, load_about, make_results
    from simex.sandbox.pool import SandboxPool

    exports = [_parse_export(text) for text in arguments.export]
    for path in (arguments.out, *(path for _, path in exports)):
        _check_output(path, arguments)
    outputs = [arguments.out, *(path for _, path in exports)]
    if len({os.path.realpath(path) for path in outputs}) < len(outputs):
        raise UserError(
            "--out and --export must name different files; got "
            f"{', '.join(map(str, outputs))}."
        )
    benchmark = get_benchmark(arguments.benchmark)
    about = load_about(arguments.about) if arguments.about else About()
    known = load_items(arguments.benchmark, arguments.data)
    items = items_between(known, arguments.since, arguments.until)
    generations = read_generations(
        benchmark.form,
        arguments.generations,
        [item.id for item in known],
        wanted_ids=[item.id for item in items],
        is_partial=arguments.partial,
    )
    if not generations:
        raise UserError(
            f"{arguments.generations} must hold generations for some of the "
            f"{len(items)} items of the window of dates; it holds none. Widen --since "
            "and --until."
        )
    num = sum(len(found) for found in generations.values())
    most = max(len(found) for found in generations.values())
    with SandboxPool(arguments.workers) as pool:
        backend = pool.backend_name
        found = grade_all(pool, items, generations)
        grades = list(progress(found, num, label="score", unit="generation"))
    results = make_results(
        arguments.benchmark,
        benchmark,
        grades,
        ks=[k for k in arguments.k if k <= most] or [1],
        data_path=arguments.data,
        generations_path=arguments.generations,
        items=items,
        is_partial=arguments.partial,
        backend=backend,
        about=about,
    )
    with write_atomically(arguments.out) as file:
        json.dump(results, file, indent=1)
    for form, path in exports:
        export_results(form, path, results, generations, items)
    print(_render(results))
    return 0


def _render(results: dict) -> str:
    lines = [
        f"{results['benchmark']}: {results['generations']['num_generations']} "
        f"generations for {results['generations']['num_items']} of "
        f"{results['data']['num_items']} items"
        + (" (partial)" if results["is_partial"] else "")
    ]
    for rule, by_k in results["scores"].items():
        for k, score in by_k.items():
            if score["value"] is None:
                continue
            value, low, high = (100 * score[x] for x in ("value", "low", "high"))
            lines.append(
                f"  {rule:9}{k:8} {value:6.2f} %  [{low:.2f}, {high:.2f}]  "
                f"n = {score['n']} items"
            )
    return "\n".join(lines)


def _parse_ks(text: str) -> tuple[int, ...]:
    try:
        ks = tuple(int(part) for part in text.split(","))
    except ValueError:
        ks = ()
    if not ks or min(ks) < 1:
        raise argparse.ArgumentTypeError(
            f"must be numbers from 1, as in 1,5,10; got {text!r}"
        )
    return ks


def _check_output(path: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Before anything is judged: what cannot be written would cost all verdicts."""
    for given in (arguments.data, arguments.generations, arguments.about):
        if given is not None and os.path.realpath(path) == os.path.realpath(given):
            raise UserError(f"--out and --export must be no inputs; got {path}.")
    if path.is_dir():
        raise UserError(f"--out and --export must name files; {path} is a folder.")
    folder = next(p for p in path.absolute().parents if p.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise UserError(
            f"--out and --export must lie where files can be written; {folder} is no "
            "such folder."
        )


def _parse_export(text: str) -> tuple[str, pathlib.Path]:
    from simex.core.names import unknown_name
    from simex.evals.scoring.exporters import EXPORTERS

    form, equals, path = text.partition("=")
    if not equals or not path:
        raise UserError(f"--export must be FORM=FILE; got {text!r}.")
    if form not in EXPORTERS:
        raise unknown_name("form of results", form, EXPORTERS)
    return form, pathlib.Path(path)
