"""Mutates calls and keeps those that reach new code. Runs in the box.

Standard library only: the text of this file is part of a program (`fuzz`), where it has
a namespace of its own. Coverage is the set of arcs (line to next line, by function),
as in Zalewski's AFL; counted from line events of the program's own code. How long a
call may run is a number of events, so that equal seeds find equal calls.
"""

import ast
import copy
import io
import random
import signal
import sys
from collections.abc import Callable
from typing import Any

MAX_EVENTS = 20_000  # of one call
MAX_CALL_SECS = 0.5  # a backstop, for what hangs in C code
MAX_REPR_CHARS = 200
MAX_ITEMS = 24  # of a text, list or dict that a mutation makes
MAX_NUMBER = 10**6
MAX_CORPUS = 64
_LETTERS = "aZ0 _-.,:/\n\t'\"é<=+"


class TooSlow(BaseException):
    """A call went over its number of events."""


class Coverage:
    """Which arcs of a file a call goes along."""

    def __init__(self, file_name: str):
        self.file_name = file_name
        self.arcs: set[tuple[int, int, int]] = set()
        self._num_events = 0

    def start(self) -> None:
        self.arcs, self._num_events = set(), 0
        sys.settrace(self._trace)

    def _trace(self, frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != self.file_name:
            return None
        first, previous = frame.f_code.co_firstlineno, 0

        def trace_line(frame: Any, event: str, argument: Any) -> Any:
            nonlocal previous
            if event == "line":
                self._num_events += 1
                if self._num_events > MAX_EVENTS:
                    raise TooSlow
                self.arcs.add((first, previous, frame.f_lineno))
                previous = frame.f_lineno
            return trace_line

        return trace_line


def is_unordered(value: Any) -> bool:
    """A set whose order depends on hashes of texts, or something that holds one."""
    if isinstance(value, (set, frozenset)):
        return len(value) > 1 and not all(isinstance(x, (int, float)) for x in value)
    if isinstance(value, dict):
        return any(map(is_unordered, value.values()))
    return isinstance(value, (list, tuple)) and any(map(is_unordered, value))


def literal_nodes(tree: ast.AST) -> list[tuple[Any, str, int | None]]:
    """(parent, field, index) of each largest literal below, but of subscripts."""
    found: list[tuple[Any, str, int | None]] = []
    for field, value in ast.iter_fields(tree):
        if isinstance(tree, ast.Subscript) and field == "slice":
            continue
        is_list = isinstance(value, list)
        for index, child in enumerate(value if is_list else [value]):
            if not isinstance(child, ast.AST):
                continue
            if isinstance(child, ast.expr) and is_literal(child):
                found.append((tree, field, index if is_list else None))
            else:
                found += literal_nodes(child)
    return found


def is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def replace(place: tuple[Any, str, int | None], node: ast.expr) -> None:
    parent, field, index = place
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def shape_of(call: str) -> str:
    """The call with 0 for each literal: what no mutation changes."""
    tree = ast.parse(call, mode="eval")
    for place in literal_nodes(tree):
        replace(place, ast.Constant(value=0))
    return ast.dump(tree)


class Mutator:
    """Changes literals a little; what it draws depends on the seed alone."""

    def __init__(self, seed: int, constants: list[Any]):
        self.rng = random.Random(seed)
        self.constants = constants  # of the program: what it compares with

    def mutate_call(self, call: str) -> str:
        tree = ast.parse(call, mode="eval")
        places = literal_nodes(tree)
        if not places:
            return call
        for parent, field, index in self.rng.sample(places, min(len(places), 1)):
            old = getattr(parent, field)
            value = ast.literal_eval(old if index is None else old[index])
            node = ast.parse(repr(self.mutate(value)), mode="eval").body
            replace((parent, field, index), node)
        return ast.unparse(tree)

    def mutate(self, value: Any) -> Any:
        same = [c for c in self.constants if type(c) is type(value)]
        if same and self.rng.random() < 0.3:
            return self.rng.choice(same)
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self._number(value)
        if isinstance(value, float):
            return float(self._number(int(value))) + self.rng.choice((0.0, 0.5))
        if isinstance(value, str):
            return "".join(self._items(list(value), self._letter))
        if isinstance(value, bytes):
            return bytes(self._items(list(value), lambda: self.rng.randrange(256)))
        if isinstance(value, (list, tuple)):
            return type(value)(self._elements(list(value)))
        if isinstance(value, dict) and value:
            key = self.rng.choice(list(value))
            return value | {key: self.mutate(value[key])}
        return value

    def _number(self, value: int) -> int:
        new = self.rng.choice(
            (value + 1, value - 1, -value, value * 2, value // 2, 0, 1, 10, 97)
        )
        return max(-MAX_NUMBER, min(MAX_NUMBER, new))

    def _letter(self) -> str:
        texts = [c for c in self.constants if isinstance(c, str) and c]
        if texts and self.rng.random() < 0.5:
            return self.rng.choice(texts)[:8]
        return self.rng.choice(_LETTERS)

    def _elements(self, items: list[Any]) -> list[Any]:
        if items and self.rng.random() < 0.5:
            index = self.rng.randrange(len(items))
            items[index] = self.mutate(items[index])
            return items
        return self._items(items, lambda: copy.deepcopy(self.rng.choice(items or [0])))

    def _items(self, items: list[Any], make: Callable[[], Any]) -> list[Any]:
        """Drops, doubles, swaps, inserts or turns round."""
        at = self.rng.randrange(len(items) + 1)
        action = self.rng.randrange(5)
        if action == 0 and items:
            del items[min(at, len(items) - 1)]
        elif action == 1 and items:
            items = items[:at] + items[max(0, at - 2) : at] + items[at:]
        elif action == 2 and len(items) > 1:
            one, other = self.rng.sample(range(len(items)), 2)
            items[one], items[other] = items[other], items[one]
        elif action == 3:
            items.reverse()
        else:
            items.insert(at, make())
        return items[:MAX_ITEMS]


def constants_of(codes: list[Any]) -> list[Any]:
    """Numbers and texts that the code holds, in an order that is always the same."""
    found = {
        repr(c): c
        for code in codes
        for c in code.co_consts
        if isinstance(c, (int, float, str, bytes)) and len(repr(c)) < 40
    }
    return [found[key] for key in sorted(found)]


def codes_below(code: Any) -> list[Any]:
    """The code objects of all functions in it."""
    inner = [c for c in code.co_consts if hasattr(c, "co_consts")]
    return [d for c in inner for d in (c, *codes_below(c))]


class Fuzzer:
    """Calls one after the other in the namespace of the program."""

    def __init__(self, namespace: dict[str, Any], file_name: str):
        self.namespace = namespace
        self.coverage = Coverage(file_name)
        self.seen: set[tuple[int, int, int]] = set()

    def value_of(self, call: str) -> str | None:
        """The repr of what the call returns, if it is one that can be kept."""
        out, sys.stdout = sys.stdout, io.StringIO()
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CALL_SECS, MAX_CALL_SECS)
            self.coverage.start()
            value = eval(compile(call, "<call>", "eval"), self.namespace)
            sys.settrace(None)
            text = repr(value)
            unfit = sys.stdout.getvalue() or is_unordered(value) or value is None
        except BaseException:  # noqa: BLE001 (whatever the function raises)
            return None
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            sys.stdout = out
        return None if unfit or len(text) > MAX_REPR_CHARS or " at 0x" in text else text

    def count_new(self) -> int:
        """How many arcs of the last call no kept call has; they are seen from now on."""
        new = self.coverage.arcs - self.seen
        self.seen |= new
        return len(new)


def _interrupt(number: int, frame: Any) -> None:
    raise TooSlow


def fuzz(
    namespace: dict[str, Any], calls: list[str], *, rounds: int, seed: int, source: str
) -> None:
    """Prints a line for each call that goes along a new arc, given ones first.

    ``HEX_OF_CALL HEX_OF_REPR NUM_NEW_ARCS``, and at the end ``covered GIVEN ALL LINES``:
    lines of functions that the given calls reach, that all reach, and that there are.
    """
    file_name = "<fuzzed>"
    code = compile(source, file_name, "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102 (the program itself, in the box)
    signal.signal(signal.SIGVTALRM, _interrupt)
    codes = codes_below(code)
    fuzzer = Fuzzer(namespace, file_name)
    mutator = Mutator(seed, constants_of(codes))
    write = sys.stdout.write
    corpus: list[str] = []
    tried = set(calls)
    waiting = list(calls)
    num_given = 0
    for index in range(len(calls) + rounds):
        if index == len(calls):
            num_given = len({arc[2] for arc in fuzzer.seen})
        if index < len(calls):
            call = waiting[index]
        elif not corpus:
            break
        else:
            call = mutator.mutate_call(mutator.rng.choice(corpus))
            if call in tried:
                continue
            tried.add(call)
        text = fuzzer.value_of(call)
        if text is None:
            continue
        num_new = fuzzer.count_new()
        # Values of every kind that the function takes are worth a mutation.
        if (num_new or index < len(calls)) and len(corpus) < MAX_CORPUS:
            corpus.append(call)
        if num_new:
            shown = [t.encode("utf-8", "surrogatepass").hex() for t in (call, text)]
            write(f"{shown[0]} {shown[1]} {num_new}\n")
    lines = {line for c in codes for _, _, line in c.co_lines() if line is not None}
    lines -= {c.co_firstlineno for c in codes}
    num_all = len({arc[2] for arc in fuzzer.seen})
    write(f"covered {num_given if rounds else num_all} {num_all} {len(lines)}\n")
