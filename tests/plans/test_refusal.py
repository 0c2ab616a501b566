"""The compiler's refusals become numbers and a sentence."""

import pytest

from simex.plans.refusal import gib, parse_refusal

# As libtpu 0.0.42 says it.
TEMPORARIES = (
    "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
    "temporaries (128.00G) exceeds available HBM (15.75G)."
)
PROGRAM = (
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
    "space hbm. Used 23.45G of 15.75G hbm. Exceeded hbm capacity by 7.70G.\n\n"
    "Total hbm usage >= 23.95G:\n    reserved        509.00M\n    program  23.45G"
)


@pytest.mark.parametrize(
    ("message", "needed"), [(TEMPORARIES, 128.0), (PROGRAM, 23.45)]
)
def test_what_is_needed_and_what_there_is_are_read(message, needed):
    refusal = parse_refusal(message)
    assert refusal.needed_bytes == round(needed * 2**30)
    assert refusal.available_bytes == round(15.75 * 2**30)
    assert refusal.reason == f"needs {needed:.2f} GiB of 15.75 GiB"


def test_a_refusal_in_other_words_keeps_its_first_line():
    refusal = parse_refusal("RESOURCE_EXHAUSTED: out of scoped vmem\nallocations:\n...")
    assert refusal.reason == "RESOURCE_EXHAUSTED: out of scoped vmem"
    assert refusal.needed_bytes is None


def test_an_error_about_something_else_is_no_refusal():
    assert parse_refusal("INTERNAL: Mosaic failed to compile") is None


def test_sizes_are_written_for_people():
    assert gib(1.5 * 2**30) == "1.50 GiB"
    assert gib(3 * 2**20) == "3.0 MiB"
