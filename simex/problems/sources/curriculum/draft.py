"""Drawing problems from the grammar: specs, inputs, and plausible wrong programs."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from simex.core.errors import UserError
from simex.core.prng import host_rng
from simex.problems.sources.curriculum.program import render_program
from simex.problems.sources.curriculum.spec import CONSTANTS, Grammar, Spec, Step
from simex.problems.sources.curriculum.statement import render_statement

_SPLIT_OF_BUCKET = {0: "test", 1: "test", 2: "validation"}  # of 10; the rest train
_TRIES_OF_A_KIND = 10
_MOST_SINGLE_TRIES = 200
_MOST_TRIES = 2000


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProblemDraft:
    """A problem before anything ran: its expected outputs are not known yet."""

    id: str
    statement: str
    composition: str
    split: str
    public_inputs: tuple[str, ...]
    hidden_inputs: tuple[str, ...]
    right_program: str  # what the statement asks; its outputs define the tests
    wrong_programs: tuple[str, ...]  # meant to be wrong; the judge decides


def find_split(composition: str) -> str:
    """The split of a composition, by its hash: the same in every run and seed."""
    digest = hashlib.sha256(composition.encode()).digest()
    return _SPLIT_OF_BUCKET.get(digest[0] % 10, "train")


def draw_drafts(
    seed: int,
    split: str,
    *,
    grammar: Grammar,
    num_problems: int,
    num_public: int,
    num_hidden: int,
    num_wrong: int,
) -> Iterator[ProblemDraft]:
    """`num_problems` distinct drafts whose compositions belong to `split`."""
    seen: set[tuple[Spec, str]] = set()
    attempt = 0
    while len(seen) < num_problems:
        rng = host_rng(seed, "curriculum", split, attempt)
        attempt += 1
        spec = _draw_spec(grammar, rng)
        statement = render_statement(spec, rng)
        if find_split(spec.composition) != split or (spec, statement) in seen:
            continue
        seen.add((spec, statement))
        inputs = _draw_inputs(spec.feed, num_public + num_hidden, rng)
        style = _choose(grammar.styles, rng)
        right = render_program(spec, style)
        yield ProblemDraft(
            id=f"{split}/{len(seen) - 1:05d}",
            statement=statement,
            composition=spec.composition,
            split=split,
            public_inputs=tuple(inputs[:num_public]),
            hidden_inputs=tuple(inputs[num_public:]),
            right_program=right,
            wrong_programs=_draw_wrong(
                spec, style, right, count=num_wrong, grammar=grammar, rng=rng
            ),
        )


def _draw_spec(grammar: Grammar, rng: np.random.Generator) -> Spec:
    feed = _choose(grammar.feeds, rng)
    # Half of the problems of the richest feed, so that none of the others is rare.
    if "list" in grammar.feeds and rng.random() < 0.5:
        feed = "list"
    operations = (grammar.filters, grammar.maps)
    names: list[str] = []
    num_steps = int(rng.integers(1, grammar.max_steps + 1))
    while len(names) < num_steps:
        name = _choose(operations[int(rng.integers(2))], rng)
        if name not in names:
            names.append(name)
    return Spec(
        feed=feed,
        arrangement=_choose(grammar.arrangements, rng) if feed == "list" else "none",
        steps=tuple(_draw_step(name, rng) for name in names),
        reducer=_choose(grammar.reducers, rng),
    )


def _choose(names: Sequence[str], rng: np.random.Generator) -> str:
    return names[int(rng.integers(len(names)))]


def _draw_step(name: str, rng: np.random.Generator) -> Step:
    constants = CONSTANTS.get(name)
    constant = int(rng.choice(constants)) if constants else None
    return Step(name=name, constant=constant)


def _draw_inputs(feed: str, count: int, rng: np.random.Generator) -> list[str]:
    inputs: list[str] = []
    while len(inputs) < count:
        if feed == "list":
            length = int(rng.integers(3, 5))
            # Distinct, so that "the next one" has one meaning wherever a value stands.
            text = " ".join(str(v) for v in rng.permutation(10)[:length])
        elif feed == "digits":
            text = str(rng.integers(100, 10_000))
        else:
            text = str(rng.integers(2, max(10, 2 + count)))
        if text + "\n" not in inputs:
            inputs.append(text + "\n")
    return inputs


def _draw_wrong(
    spec: Spec,
    style: str,
    right: str,
    *,
    count: int,
    grammar: Grammar,
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """Programs of specs that differ from `spec` in one place, as a slip would.

    Their compositions belong to the split of `spec`: the wrong program of one problem may
    be the right one of another. Where no single slip stays there, several are made.

    Raises:
      UserError: the grammar has too few programs in that split.
    """
    split = find_split(spec.composition)
    wrong: list[str] = []
    slipped, tries = spec, 0
    while len(wrong) < count:
        if tries > _MOST_TRIES:
            raise UserError(
                f"{count} wrong programs must be found for {spec.composition} in the "
                f"split {split}; {len(wrong)} were. Allow more in the Grammar, or ask for "
                "fewer wrong programs."
            )
        slips = (_slip_constant, _slip_step, _slip_order, _slip_reducer, _slip_feed)
        slip = slips[int(rng.choice(len(slips), p=[0.3, 0.3, 0.1, 0.15, 0.15]))]
        # A kind of slip is tried several times, so that none is rare in a small split.
        for _ in range(_TRIES_OF_A_KIND):
            tries += 1
            goes_on = tries > _MOST_SINGLE_TRIES and slipped.steps
            slipped = slip(slipped if goes_on else spec, grammar, rng)
            program = render_program(slipped, style)
            is_new = program != right and program not in wrong
            if is_new and find_split(slipped.composition) == split:
                wrong.append(program)
                slipped, tries = spec, 0
                break
    return tuple(wrong)


def _replace_step(spec: Spec, index: int, steps: Sequence[Step]) -> Spec:
    kept = (*spec.steps[:index], *steps, *spec.steps[index + 1 :])
    return dataclasses.replace(spec, steps=kept)


def _slip_constant(spec: Spec, grammar: Grammar, rng: np.random.Generator) -> Spec:
    del grammar
    index = int(rng.integers(len(spec.steps)))
    step = _draw_step(spec.steps[index].name, rng)
    return _replace_step(spec, index, [step])


def _slip_step(spec: Spec, grammar: Grammar, rng: np.random.Generator) -> Spec:
    index = int(rng.integers(len(spec.steps)))
    if rng.random() < 0.25:
        return _replace_step(spec, index, [])
    names = grammar.filters if spec.steps[index].is_filter else grammar.maps
    return _replace_step(spec, index, [_draw_step(_choose(names, rng), rng)])


def _slip_order(spec: Spec, grammar: Grammar, rng: np.random.Generator) -> Spec:
    del grammar, rng
    return dataclasses.replace(spec, steps=spec.steps[::-1])


def _slip_reducer(spec: Spec, grammar: Grammar, rng: np.random.Generator) -> Spec:
    return dataclasses.replace(spec, reducer=_choose(grammar.reducers, rng))


def _slip_feed(spec: Spec, grammar: Grammar, rng: np.random.Generator) -> Spec:
    if spec.feed != "list":
        return _slip_reducer(spec, grammar, rng)
    arrangement = _choose(grammar.arrangements, rng)
    return dataclasses.replace(spec, arrangement=arrangement)
