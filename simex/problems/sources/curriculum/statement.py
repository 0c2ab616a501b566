"""A spec as a statement in words, with a few ways of saying each thing."""

from collections.abc import Mapping

import numpy as np

from simex.problems.sources.curriculum.spec import Spec

_FEEDS: Mapping[str, tuple[str, ...]] = {
    "list": ("Read a line of integers.", "You are given some integers on one line."),
    "digits": (
        "Read an integer and take its digits from the last to the first.",
        "Go through the digits of the given integer, last digit first.",
    ),
    "range": (
        "Read n and go through the integers from 1 to n.",
        "Take the numbers 1, 2, ..., n for the given n.",
    ),
}
_ARRANGEMENTS: Mapping[str, tuple[str, ...]] = {
    "none": ("",),
    "sort": ("Sort them.", "Put them in ascending order."),
    "reverse": ("Reverse their order.", "Go through them backwards."),
    "tail": ("Drop the first one.", "Leave out the first."),
    "head": ("Take only the first three.", "Use at most the first three."),
    "alternate": ("Take every second one, from the first.", "Skip every other one."),
}
_STEPS: Mapping[str, tuple[str, ...]] = {
    "even": ("Keep the even ones.", "Use only even values."),
    "odd": ("Keep the odd ones.", "Use only odd values."),
    "above": ("Keep those above {c}.", "Ignore values of {c} or less."),
    "below": ("Keep those below {c}.", "Ignore values of {c} or more."),
    "differs": ("Skip every {c}.", "Ignore values equal to {c}."),
    "thirds": ("Keep the multiples of 3.", "Use only values divisible by 3."),
    "add": ("Add {c} to each.", "Increase each by {c}."),
    "times": ("Multiply each by {c}.", "Replace each by {c} times itself."),
    "modulo": ("Take each modulo {c}.", "Replace each by its remainder by {c}."),
    "halve": ("Halve each, rounding down.", "Divide each by 2, rounding down."),
    "distance": ("Take the distance of each to {c}.", "Replace each by |x - {c}|."),
}
_REDUCERS: Mapping[str, tuple[str, ...]] = {
    "sum": ("Print the sum.", "Output their total."),
    "count": ("Print how many are left.", "Output their number."),
    "max": ("Print the largest, or 0 if none.", "Output the maximum (0 if none)."),
    "min": ("Print the smallest, or 99 if none.", "Output the minimum (99 if none)."),
    "last": ("Print the last, or 0 if none.", "Output the final one (0 if none)."),
    "swing": (
        "Start with t = 0, replace t by value - t for each, and print t.",
        "Fold them with t = value - t from t = 0 and output t.",
    ),
    "collect": ("Print them on one line.", "Output them separated by spaces."),
}


def render_statement(spec: Spec, rng: np.random.Generator) -> str:
    """The problem in words; `rng` picks among the ways of saying each part."""

    def say(phrases: tuple[str, ...]) -> str:
        return phrases[int(rng.integers(len(phrases)))]

    parts = [say(_FEEDS[spec.feed]), say(_ARRANGEMENTS[spec.arrangement])]
    parts += [say(_STEPS[s.name]).format(c=s.constant) for s in spec.steps]
    parts.append(say(_REDUCERS[spec.reducer]))
    return " ".join(part for part in parts if part)
