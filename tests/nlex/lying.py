"""A rewriter that tells one value wrongly."""

import dataclasses

from simex.nlex.rewriters.compact import rewrite_compact


def lie_about_8(trace):
    """What `compact` says, but that 9 is returned where 8 is."""
    told = rewrite_compact(trace)
    return dataclasses.replace(told, text=told.text.replace("return 8", "return 9"))
