"""Which slices the search drops, with a compiler that answers from a table."""

import pytest

from simex.plans import smallest
from simex.plans.compile_process import Request
from simex.plans.render import _render_search
from simex.plans.report import Memory, ProgramReport, Refusal
from simex.plans.smallest import find_smallest
from simex.plans.topology import parse_topology

GIB = 2**30


def report_on(num_devices, *, arguments, compiles=True):
    """GiB of all devices: 48 of temporaries, of which 16 ever live together."""
    a, temporaries, peak = (n * GIB // num_devices for n in (arguments, 48, 16))
    memory = Memory(
        arguments={"params": a},
        temporaries=temporaries if compiles else 0,
        outputs=0,
        code=0,
        beside={},
        peak=a + peak if compiles else 0,
    )
    return ProgramReport(stage="train_rl", program="rl_apply", memory=memory)


def test_what_was_refused_has_no_size_that_a_model_could_divide(monkeypatch):
    monkeypatch.setattr(smallest, "compile_all", None)  # nothing else is asked
    request = Request(None, "rl_apply", parse_topology("v5e:2x4"))
    refusal = Refusal(reason="200.0 GiB needed of 15.75", needed_bytes=200 * GIB)
    refused = ProgramReport(stage="train_rl", program="rl_apply", refusal=refusal)
    search = find_smallest([request], [refused], compiles=False, say=print)
    assert (search.smallest, search.is_unknown) == (None, True)
    said, slice_ = _render_search(search)
    assert said == (
        "Smallest slice that fits: unknown (what was refused here has no known size; "
        "--smallest asks the compiler)"
    )
    assert slice_.split() == ["v5e:2x4", "200.0", "GiB", "needed", "of", "15.75"]


@pytest.mark.parametrize(
    ("asked", "arguments", "compiles", "found", "reasons", "is_compiled"),
    [
        # The model has (40 + 48) / 4 = 22 of 15.75 GiB a chip, the compiler 56 / 4 = 14.
        ("v5e:4x4", 40, False, "v5e:2x4", ["by the model of memory", None], False),
        ("v5e:4x4", 40, True, "v5e:2x2", [None], True),
        # 80 / 4 = 20 GiB a chip are too much without a compiler.
        ("v5e:4x4", 80, True, "v5e:2x4", ["by its arguments alone", None], True),
        # What was asked for is compiled, but v5e:2x2, which would do, was not.
        ("v5e:2x4", 40, False, "v5e:2x4", ["by the model of memory", None], False),
        ("v5e:2x2", 40, False, "v5e:2x2", [None], True),
    ],
)
def test_the_compiler_decides_wherever_the_arguments_alone_fit(
    monkeypatch, asked, arguments, compiles, found, reasons, is_compiled
):
    def compile_all(requests, say=None):
        return [
            report_on(
                request.topology.num_devices,
                arguments=arguments,
                compiles=request.compiles,
            )
            for request in requests
        ]

    monkeypatch.setattr(smallest, "compile_all", compile_all)
    request = Request(None, "rl_apply", parse_topology(asked))
    search = find_smallest(
        [request],
        [report_on(request.topology.num_devices, arguments=arguments)],
        compiles=compiles,
        say=lambda report: None,
    )
    assert search.smallest == found
    assert [candidate.why_not for candidate in search.candidates] == reasons
    assert search.is_compiled is is_compiled
    how = "(compiled)" if is_compiled else "(by the model of memory, an upper bound; "
    assert how in _render_search(search)[0]
