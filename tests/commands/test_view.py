"""`simex view` on a dataset: what is true, what is false, and where."""

import re

import pytest

from simex.data.builder import build_dataset
from simex.data.records import Example
from simex.main import main
from simex.report import dataset_view
from simex.report.dataset_view import find_style
from simex.tasks import explain, predict_output

SOURCE = "x = int(input())\nif x < 5:\n    x += 1\nprint('<b>', x)\n"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset")
    told = "x=4\n4 < 5 yes\n4 + 1 x=6"
    examples = [
        Example(
            id="a",
            task="predict_output",
            group="a",
            source="test",
            prompt=predict_output.render_prompt(SOURCE, "4"),
            target=predict_output.render_target(told, "<b> 5"),
        ),
        Example(
            id="b",
            task="explain",
            group="b",
            source="test",
            prompt=explain.render_prompt("def f(n):\n    return n * 2", "f(3)"),
            target=explain.render_target("call f\nn=3\nreturn 6", "f(3)", "6"),
        ),
        Example(
            id="c", task="solve", group="c", source="test", prompt="Add.", target="code"
        ),
    ]
    build_dataset({"train": examples}, out)
    return out


def view(dataset, capsys, *words):
    code = main(["view", str(dataset), *words])
    return code, capsys.readouterr()


def test_a_false_statement_is_marked_in_the_terminal(dataset, capsys):
    code, printed = view(dataset, capsys)
    assert code == 0
    sections = re.split(r"^=== ", printed.out, flags=re.MULTILINE)[1:]
    first, second, third = sorted(sections)  # TFDS keeps them in an order of its own
    assert "4 + 1 >>>x=6<<<" in first and first.count(">>>") == 2  # and the heading
    assert "x does not become that here; it is 5" in first
    assert "  3 | x += 1 | x: 4 → 5" in first  # what the line changed, in the trace
    assert "3 statements, 0 false; 100 % of the facts told" in second
    assert "holds no program" in third


def test_a_variable_of_another_call_is_new(tmp_path, capsys):
    source = "def g(x):\n    y = x * 2\n    return y\n\nprint(g(5))\nprint(g(9))\n"
    example = Example(
        id="a",
        task="predict_output",
        group="a",
        source="test",
        prompt=predict_output.render_prompt(source, ""),
        target=predict_output.render_target("", "10\n18"),
    )
    build_dataset({"train": [example]}, tmp_path / "data")
    _, printed = view(tmp_path / "data", capsys)
    assert "call g | x: 5" in printed.out and "call g | x: 9" in printed.out
    assert "y = x * 2 | y: 18" in printed.out


def test_the_page_marks_spans_and_escapes_what_programs_print(
    dataset, capsys, tmp_path
):
    page = tmp_path / "view.html"
    code, _ = view(dataset, capsys, "--html", str(page))
    text = page.read_text()
    assert code == 0 and "<b>" not in text and "&lt;b&gt;" in text
    assert re.search(r'<span class="false" title="x does not[^"]*">x=6</span>', text)
    assert '<span class="true" title="">x=4</span>' in text
    assert "://" not in text  # the page needs no network


@pytest.mark.parametrize("is_html", [False, True])
def test_control_characters_of_a_dataset_are_written_out(
    monkeypatch, tmp_path, is_html
):
    """Else a program could give the terminal a title, or move what was printed."""
    hostile = Example(
        id="a\x1b[2J",
        task="solve",
        group="a",
        source="test",
        prompt="Add.\x1b]0;owned\x07\n\tx",
        target="</pre><script>\x9b31m",
    )
    monkeypatch.setattr(dataset_view, "load_split", lambda path, split: [hostile])
    shown = dataset_view.render_dataset(
        tmp_path, split="train", first=0, count=1, is_html=is_html
    )
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    for text in (r"a\x1b[2J", r"Add.\x1b]0;owned\x07" + "\n\tx", r"\x9b31m"):
        assert text in shown
    if is_html:
        assert "<script>" not in shown and "&lt;script&gt;" in shown
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        assert f'"Content-Security-Policy" content="{policy}"' in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "none"], "must have a split"),
        (["--first", "9"], "must be below 3"),
        (["--count", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_shown_is_said(dataset, capsys, words, message):
    code, printed = view(dataset, capsys, *words)
    assert code == 2 and message in printed.err


def test_a_folder_without_a_dataset_is_refused(capsys, tmp_path):
    code, printed = view(tmp_path, capsys)
    assert code == 2 and "must be a folder that holds a dataset" in printed.err


def test_styles_are_told_apart_by_their_looks():
    assert find_style("t=0\nx=3 3 > 2 yes 0 + 3 t=3") == "compact"
    assert find_style("On line 1, t becomes 0.\nThe loop runs 3 times.") == "prose"
    assert find_style("<code> 1 t = 0\n<global> t=0") == "raw_trace"
