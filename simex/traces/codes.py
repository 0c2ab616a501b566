"""What the bytecode of a program says before it runs.

Runs inside the box: standard library only. Most lines can neither print nor change an
object that somebody else holds; the tracer looks at less after those. What a line's
bytecode cannot do is done by nobody while it runs, but for Python code that it calls
by an operator, whose own lines are looked at themselves. The one exception: functions
of the standard library that a program gives to an operator (``__add__ = print``); what
they do is then told one or more lines late.
"""

import opcode
import types
from collections.abc import Iterator

_FLAG_OPTIMIZED, _FLAG_RESUMABLE = 0x1, 0x20 | 0x80 | 0x200
_INLINE_FRAMES = frozenset(("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"))
_MODULE = "<module>"

# Opcodes that call nothing, by how their names begin; unknown ones may call.
_QUIET = """
CACHE NOP RESUME POP_TOP POP_EXCEPT PUSH_ COPY SWAP LOAD_CONST LOAD_FAST LOAD_GLOBAL
LOAD_NAME LOAD_DEREF LOAD_ATTR LOAD_METHOD LOAD_CLOSURE LOAD_ASSERTION_ERROR
LOAD_SMALL_INT STORE_FAST STORE_NAME STORE_DEREF STORE_GLOBAL STORE_SUBSCR STORE_ATTR
STORE_SLICE BINARY_OP BINARY_SUBSCR BINARY_SLICE COMPARE_OP IS_OP CONTAINS_OP UNARY_
JUMP_ POP_JUMP_ BUILD_ FORMAT_ CONVERT_VALUE RETURN_ TO_BOOL MAKE_
SET_FUNCTION_ATTRIBUTE KW_NAMES PRECALL EXTENDED_ARG GET_ITER END_FOR LIST_APPEND
SET_ADD MAP_ADD COPY_FREE_VARS MATCH_ GET_LEN RAISE_VARARGS RERAISE CHECK_EXC_MATCH
NOT_TAKEN POP_ITER
"""
# Of those, the ones that change an object or make one.
_CHANGING = """
STORE_GLOBAL STORE_SUBSCR STORE_ATTR STORE_SLICE BUILD_LIST BUILD_MAP BUILD_SET
BUILD_CONST_KEY_MAP LIST_APPEND
"""
_FIRST_INPLACE = 13  # the argument of BINARY_OP from which on it is `+=` and the like
# Whoever holds one of these may call a function by going on with a loop.
_LAZY = """
<genexpr> map filter iter itertools starmap accumulate groupby takewhile dropwhile
filterfalse partial functools
"""
_LAZY_NAMES = frozenset(_LAZY.split())


def _opcodes(beginnings: str) -> frozenset[int]:
    return frozenset(
        number
        for name, number in opcode.opmap.items()
        if name.startswith(tuple(beginnings.split())) and number < 256
    )


_QUIET_OPCODES = _opcodes(_QUIET)
_CHANGING_OPCODES = _opcodes(_CHANGING)
# By the name without which no program has it: reading that changes what is read.
_CHANGING_READS = {
    "defaultdict": _opcodes("BINARY_SUBSCR"),
    "cached_property": _opcodes("LOAD_ATTR LOAD_METHOD"),
}
_STORE_OPCODES = _opcodes("STORE_")
_FOR_ITER = _opcodes("FOR_ITER")
RETURNS, YIELDS = 1, 2
_LEAVING = {
    opcode.opmap["RETURN_VALUE"]: RETURNS,
    opcode.opmap["YIELD_VALUE"]: YIELDS,
}
_BINARY_OP = opcode.opmap["BINARY_OP"]


class CodeFacts:
    """What is known of one function, or of the module."""

    __slots__ = (
        "calling",
        "changing",
        "code",
        "is_module",
        "is_resumable",
        "leaving",
        "middles",
    )

    def __init__(self, code: types.CodeType, names: frozenset[str]):
        self.code = code
        self.is_module = code.co_name == _MODULE
        self.is_resumable = bool(code.co_flags & _FLAG_RESUMABLE)
        self.calling, self.changing = _sort_lines(code, names)
        # By byte offset: how a frame that ends there leaves; 0: by an exception.
        self.leaving = bytes(_LEAVING.get(number, 0) for number in code.co_code)
        self.middles: dict[int, str] = {}  # depth -> a piece of an event's text


def collect_facts(code: types.CodeType, file_name: str) -> list[CodeFacts]:
    """For `code` and all code inside it whose frames have events of their own.

    Functions and the module: class bodies and comprehensions are part of the line that
    holds them, which is also how interpreters from 3.12 on see most comprehensions.
    """
    codes = [c for c in _walk(code) if c.co_filename == file_name]
    names = frozenset(name for c in codes for name in (c.co_name, *c.co_names))
    return [CodeFacts(c, names) for c in codes if _is_told(c)]


def _walk(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _walk(constant)


def _is_told(code: types.CodeType) -> bool:
    if code.co_name == _MODULE:
        return True
    return bool(code.co_flags & _FLAG_OPTIMIZED) and code.co_name not in _INLINE_FRAMES


def _sort_lines(
    code: types.CodeType, names: frozenset[str]
) -> tuple[frozenset[int], frozenset[int]]:
    """The lines that may call a function, and those that may change an object.

    `names` are those that the whole program uses.
    """
    calling, changing = set(), set()
    num_stores: dict[int, int] = {}
    quiet, changing_opcodes = _QUIET_OPCODES, _CHANGING_OPCODES
    if _LAZY_NAMES.isdisjoint(names):
        quiet |= _FOR_ITER
    for name in _CHANGING_READS.keys() & names:
        changing_opcodes |= _CHANGING_READS[name]
    data = code.co_code
    for start, end, line in code.co_lines():
        if line is None:
            continue
        opcodes = data[start:end:2]
        if not quiet.issuperset(opcodes):
            calling.add(line)
        stores = sum(number in _STORE_OPCODES for number in opcodes)
        # Two assignments may free an object and make another one in its place.
        num_stores[line] = num_stores.get(line, 0) + stores
        is_changing = not changing_opcodes.isdisjoint(opcodes) or any(
            number == _BINARY_OP and argument >= _FIRST_INPLACE
            for number, argument in zip(opcodes, data[start + 1 : end : 2])
        )
        if is_changing or num_stores[line] > 1:
            changing.add(line)
    return frozenset(calling), frozenset(calling | changing)
