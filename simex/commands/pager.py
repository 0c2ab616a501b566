"""Printing that a pager may cut short."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def may_be_cut_short() -> Iterator[None]:
    """Ends the block quietly once a reader such as `head` has seen enough."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer goes nowhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
