"""The page: hostile text stays text, nothing is fetched, empty sections say so."""

import dataclasses
import html.parser
import re
import shutil
import subprocess

import pytest

from simex.report.content import (
    FixMatrix,
    Link,
    Plot,
    Price,
    Report,
    Sample,
    Series,
)
from simex.report.page import render_page, write_report
from simex.report.printable import printable
from simex.rollouts.program import clipped
from tests.report.browser import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = (
    "</pre></details><script>document.title='owned'</script>"
    "<img src=http://evil.test/x onerror=\"document.title='owned'\">"
    "{{ 7 * 7 }} {% raw %} \x00\x1b[31m \ud800 \u202e \u65e5\u672c \U0001f600 ' \" &amp;"
)


def estimate(value, n=200):
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n}


def make_report(text="plain", **changes):
    line = Series(label=text, x=(1, 2, 3), y=(0.1, 0.4, 0.5))
    plot = Plot(title=text, note=text, series=(line, line), is_share=True)
    sample = Sample(
        title=text,
        label=text,
        problem=text,
        program=text,
        stdin=text,
        explanation=text,
        prediction=text,
        truth=text,
        is_right=False,
    )
    settings = {
        "title": text,
        "about": text,
        "facts": {text: text},
        "warnings": (text,),
        "seconds": {text: 61.0, "evaluate": 5.0},
        "results": {
            "prediction.rl": estimate(0.541, n=1234),
            "gain.nlex_over_direct": estimate(-0.1),
            "self_rlef.fixed": estimate(0.73),
            text: estimate(0.5),
        },
        "sft_curves": (plot,),
        "rl_curves": (plot,),
        "best_at_k": plot,
        "prices": (
            Price(
                method=text,
                estimate=estimate(0.25),
                samples=8,
                predictions=24,
                executions=0,
                submissions=1,
            ),
        ),
        "loops": plot,
        "analysis": (
            dataclasses.replace(plot, x_names=("</text><script>", "\x00", "c")),
        ),
        "links": (Link(path="train_rl/rollouts/step_00001.html", text=text),),
        "fix_matrix": FixMatrix(
            right_right=134, right_wrong=6, wrong_right=12, wrong_wrong=48
        ),
        "samples": (sample,),
        "settings": text,
    }
    return Report(**settings | changes)


class Outline(html.parser.HTMLParser):
    """Collects elements, attributes and whether every element is closed in order."""

    VOID = ("meta", "br", "img", "link", "use", "input")

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def hostile_page():
    return render_page(make_report(HOSTILE))


def test_hostile_text_adds_no_element_and_is_shown_as_it_is(hostile_page):
    outline, plain = Outline(hostile_page), Outline(render_page(make_report()))
    assert outline.open == []
    names = [tag for tag, _ in outline.elements]
    assert names == [tag for tag, _ in plain.elements]
    assert "script" not in names and "img" not in names
    hostile_page.encode("utf-8")  # raises for what no file can hold
    shown = "".join(outline.text)
    assert "<script>document.title='owned'</script>" in shown
    assert "{{ 7 * 7 }}" in shown and r"\x00\x1b[31m \ud800" in shown


def test_nothing_is_fetched_and_no_handler_is_set(hostile_page):
    for _, attributes in Outline(hostile_page).elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href", "action", "data"):
                assert value.startswith(("#", "train_rl/rollouts/step_"))
    assert re.findall(r"url\((?!#)[^)]*\)|@import", hostile_page) == []
    assert "default-src 'none'" in hostile_page


def test_numbers_of_the_tables():
    page = render_page(make_report())
    assert ">54.1<" in page and "49.1 – 59.1" in page and ">1,234<" in page
    assert ">-10.0<" in page and ">12<" in page
    assert "6.0 %" in page  # 12 of 200 fixed
    assert "1 min 06 s in all" in page  # 61 s + 5 s


def test_the_same_report_gives_the_same_page():
    assert render_page(make_report()) == render_page(make_report())


def test_an_empty_report_says_so_in_every_section():
    page = render_page(Report(title="nothing"))
    for sentence in (
        "No evaluation was run.",
        "No candidates were ranked",
        "Self-fixing was not evaluated",
        "No supervised stage was run.",
        "No reinforcement learning was run.",
        "No samples were kept.",
        "No configuration was recorded.",
    ):
        assert sentence in page
    assert Outline(page).open == []


def test_what_is_bought_stands_beside_what_it_costs():
    outline = Outline(render_page(make_report()))
    text = " ".join(" ".join(outline.text).split())
    assert (
        "Samples Predictions Executions Submissions plain 25.0 20.0 – 30.0 8 24 0 1"
        in text
    )


@pytest.mark.parametrize("path", ["https://evil.test/", "/etc/passwd", "a/../../b"])
def test_a_link_leaves_neither_folder_nor_disk(path):
    with pytest.raises(ValueError, match="below it"):
        Link(path=path, text="x")


def test_a_plot_without_points_says_so():
    plot = Plot(title="loss", series=(Series(label="a", x=(), y=()),))
    page = render_page(make_report(sft_curves=(plot,)))
    assert "No points were recorded." in page


def test_results_of_unknown_names_are_shown_under_their_names():
    page = render_page(make_report(results={"humaneval.pass_at_1": estimate(0.2)}))
    assert "humaneval.pass_at_1" in page and ">20.0<" in page


def test_long_texts_are_cut_and_counted():
    assert clipped("a" * 10, 10) == "a" * 10
    assert clipped("a" * 2010, 10) == "a" * 10 + "\n… and 2,000 more characters"


def test_line_ends_and_tabs_are_not_written_out():
    assert printable("a\tb\nc") == "a\tb\nc"
    assert printable("a\rb") == "a\\x0db"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no headless browser is installed")
def test_a_browser_opens_the_hostile_page_from_disk_without_errors(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, make_report(HOSTILE))
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        path.as_uri(),
    ]
    process = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True
    )
    # Messages of the page carry CONSOLE: script errors, blocked scripts and requests.
    assert "CONSOLE" not in process.stderr
    title = re.search(r"<title>(.*?)</title>", process.stdout, re.DOTALL)
    assert title is not None and title[1].startswith("&lt;/pre&gt;")
    assert process.stdout.count("<svg") == 5


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no headless browser is installed")
def test_text_and_plots_stand_out_on_a_light_and_on_a_dark_page(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, make_report())
    browser = Browser(path, tmp_path / "profile")
    try:
        for scheme in ("light", "dark"):
            browser.call(
                "Emulation.setEmulatedMedia",
                media="screen",
                features=[{"name": "prefers-color-scheme", "value": scheme}],
            )
            page = brightness(browser.background("body"))
            assert (page > 0.8) if scheme == "light" else (page < 0.2)
            for selector in (
                "body",
                ".note",
                "a",
                ".prices .value",
                ".mark",
                "svg text",
            ):
                ink = brightness(browser.evaluate(ink_of(selector)))
                assert abs(ink - page) > 0.35, (scheme, selector)
        browser.call("Emulation.setEmulatedMedia", media="print", features=[])
        assert browser.visible("nav") == 0 and browser.visible(".prices") == 1
    finally:
        browser.close()


def ink_of(selector):
    prop = "fill" if selector == "svg text" else "color"
    return f"getComputedStyle(document.querySelector({selector!r})).{prop}"


def brightness(colour):
    """Of "rgb(r, g, b)", 0 for black and 1 for white."""
    red, green, blue = (int(n) for n in re.findall(r"\d+", colour)[:3])
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255
