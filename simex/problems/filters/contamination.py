"""Does an item of training data repeat something of an evaluation set?

An index holds the ids and titles of the evaluation items, the n-grams of their
statements and programs, and the bodies of their functions, whatever these are called.
13 words are the length of Brown et al. 2020 (arXiv 2005.14165, appendix C); programs
share short runs of tokens by accident, so theirs are longer.
"""

import ast
import dataclasses
import itertools
import warnings
from collections.abc import Iterable

from simex.core.errors import UserError
from simex.problems.filters.text import ngrams_of, tokens_of, words_of
from simex.problems.program import SourceItem

MIN_TITLE_WORDS = 3  # "Two Sum" may be the name of another problem
MIN_BODY_NODES = 24  # of syntax; "return a + b" is everybody's


@dataclasses.dataclass(frozen=True, kw_only=True)
class NgramLengths:
    """How long a run must be to be no accident."""

    num_words: int = 13  # of a statement
    num_tokens: int = 40  # of a program

    def __post_init__(self):
        if min(self.num_words, self.num_tokens) < 2:
            raise UserError(
                "NgramLengths must be at least 2; got "
                f"{self.num_words} words and {self.num_tokens} tokens. Raise them."
            )


class ContaminationIndex:
    """What the evaluation sets hold, each entry with the id of its item.

    A text shorter than an n-gram counts as one n-gram, so that it is found where it
    is the whole text of an item too, but not inside a longer one.
    """

    def __init__(
        self, items: Iterable[SourceItem], lengths: NgramLengths = NgramLengths()
    ):
        self._lengths = lengths
        self._names: dict[str, str] = {}
        self._words: dict[int, str] = {}
        self._tokens: dict[int, str] = {}
        self._bodies: dict[int, str] = {}
        for item in items:
            for name in _names_of(item):
                self._names.setdefault(name, item.problem.id)
            for gram in self._statement_grams(item):
                self._words.setdefault(hash(gram), item.problem.id)
            for program in item.programs:
                for gram in ngrams_of(tokens_of(program.source), lengths.num_tokens):
                    self._tokens.setdefault(hash(gram), item.problem.id)
                for body in _bodies_of(program.source):
                    self._bodies.setdefault(hash(body), item.problem.id)

    def why_contaminated(self, item: SourceItem) -> str | None:
        """The first name or run that an evaluation item has too, and whose it is."""
        for name in _names_of(item):
            if name in self._names:
                return f"has the id or title of {self._names[name]}"
        for gram in self._statement_grams(item):
            if hash(gram) in self._words:
                where = self._words[hash(gram)]
                return f"shares {' '.join(gram)!r} with {where}"
        for source in sorted({p.source for p in item.programs}):
            reason = self.why_program_contaminated(source)
            if reason is not None:
                return reason
        return None

    def why_program_contaminated(self, source: str) -> str | None:
        """As above, for one program."""
        length = self._lengths.num_tokens
        for gram in sorted(ngrams_of(tokens_of(source), length)):
            if hash(gram) in self._tokens:
                where = self._tokens[hash(gram)]
                return f"shares the code {' '.join(gram)!r} with {where}"
        for body in _bodies_of(source):
            if hash(body) in self._bodies:
                return f"holds the function of {self._bodies[hash(body)]}"
        return None

    def _statement_grams(self, item: SourceItem) -> list[tuple[str, ...]]:
        words = words_of(item.problem.statement)
        return sorted(ngrams_of(words, self._lengths.num_words))


def _names_of(item: SourceItem) -> Iterable[str]:
    problem = item.problem
    title = words_of(problem.title)
    titles = [" ".join(title)] if len(title) >= MIN_TITLE_WORDS else []
    return itertools.chain([problem.id.lower()], titles)


def _bodies_of(source: str) -> list[str]:
    """The functions of a program, without name, docstring, annotations and layout."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in other people's texts
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    return [body for f in functions if (body := _body_of(f)) is not None]


def _body_of(function: ast.FunctionDef) -> str | None:
    """None for a function that is too small to be known again."""
    has_docstring = ast.get_docstring(function, clean=False) is not None
    body = function.body[int(has_docstring) :]
    if sum(1 for s in body for _ in ast.walk(s)) < MIN_BODY_NODES:
        return None
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    return " ".join([*names, *(ast.dump(s) for s in body)])
