"""LiveCodeBench: dated contest problems, with private tests in a packed form.

A line holds (Jain et al. 2024, arXiv 2403.07974) ``question_id``, ``question_title``,
``question_content``, ``platform``, ``contest_date``, ``difficulty``, ``starter_code``,
``metadata`` (JSON with ``func_name``), ``public_test_cases`` (JSON) and
``private_test_cases``: JSON, or base64 of zlib of a pickle of the JSON text. The pickle
is never loaded: its opcodes are read, and only one text may stand in it.

It is an evaluation set: nothing here may be trained on.
"""

import base64
import binascii
import pickletools
import zlib
from collections.abc import Mapping
from typing import Any

from simex.problems.problem import CallCase, Limits, Problem, TestCase, Visibility
from simex.problems.program import SourceItem
from simex.problems.rows import BadRecord, parse_json, text_of

LICENSE = "CC"  # the collection's; statements belong to the contest sites
LIMITS = Limits(cpu_secs=6.0)
MAX_UNPACKED_BYTES = 1 << 30
_TEXT_OPCODES = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_OTHER_OPCODES = frozenset({"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT"})
_OTHER_OPCODES |= {"LONG_BINPUT", "STOP"}


def parse_livecodebench(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing or the tests cannot be read."""
    question = text_of(record, "question_id")
    starter = record.get("starter_code") or ""
    metadata = parse_json(record.get("metadata") or "{}", "metadata")
    fn = metadata.get("func_name") or "" if isinstance(metadata, Mapping) else ""
    packed = record.get("private_test_cases") or "[]"
    rows = [
        (row, visibility)
        for field, visibility in (
            (record.get("public_test_cases") or "[]", Visibility.PUBLIC),
            (packed, Visibility.PRIVATE),
        )
        for row in unpack_tests(field)
    ]
    calls = [_call(row, v, fn) for row, v in rows if _is_call(row)]
    problem = Problem(
        id=f"livecodebench/{question}",
        statement=text_of(record, "question_content"),
        tests=tuple(_test(row, v) for row, v in rows if not _is_call(row)),
        call_tests=tuple(calls),
        checker="livecodebench",
        source="livecodebench",
        composition=f"livecodebench/{question}",
        split="test",
        limits=LIMITS,
        license=LICENSE,
        starter=starter,
        title=record.get("question_title") or "",
        tags=tuple(filter(None, [record.get("difficulty"), record.get("platform")])),
        origin=str(record.get("contest_date") or ""),
    )
    return SourceItem(problem=problem)


def unpack_tests(packed: Any) -> list[Mapping[str, Any]]:
    """The rows of a test field, whether it is JSON or packed.

    Raises:
        BadRecord: it is neither, or the pickle holds more than one text.
    """
    if isinstance(packed, str) and not packed.lstrip().startswith("["):
        packed = _unpack(packed)
    rows = parse_json(packed, "a field of tests")
    if not isinstance(rows, list) or not all(isinstance(r, Mapping) for r in rows):
        raise BadRecord("a field of tests is no list of objects")
    return rows


def _unpack(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
        unzip = zlib.decompressobj()
        pickled = unzip.decompress(data, MAX_UNPACKED_BYTES)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise BadRecord(f"private tests are no base64 of zlib: {error}") from None
    if not unzip.eof:
        raise BadRecord("private tests break off, or are too long")
    return text_of_pickle(pickled)


def text_of_pickle(pickled: bytes) -> str:
    """The one text of a pickle, found without unpickling.

    A pickle is a program, and one from elsewhere can call anything. Here its opcodes
    are listed; whatever is not part of storing one text is refused.

    Raises:
        BadRecord: it holds anything else.
    """
    texts: list[Any] = []
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name in _TEXT_OPCODES:
                texts.append(argument)
            elif opcode.name not in _OTHER_OPCODES:
                raise BadRecord(f"the pickle holds {opcode.name}, not one text")
    except (ValueError, UnicodeDecodeError) as error:
        if isinstance(error, BadRecord):
            raise
        raise BadRecord(f"the pickle cannot be read: {error}") from None
    if len(texts) != 1:
        raise BadRecord(f"the pickle must hold one text; it holds {len(texts)}")
    return texts[0]


def _is_call(row: Mapping[str, Any]) -> bool:
    return row.get("testtype") == "functional"


def _test(row: Mapping[str, Any], visibility: Visibility) -> TestCase:
    return TestCase(
        stdin=text_of(row, "input"),
        expected_stdout=text_of(row, "output"),
        visibility=visibility,
    )


def _call(row: Mapping[str, Any], visibility: Visibility, fn: str) -> CallCase:
    """Each line of the input is one argument as JSON, the output one JSON value."""
    if not fn:
        raise BadRecord("metadata names no func_name for tests of a function")
    lines = [line for line in text_of(row, "input").split("\n") if line.strip()]
    return CallCase(
        function=fn,
        arguments=tuple(parse_json(line, "an argument") for line in lines),
        expected_result=parse_json(text_of(row, "output"), "a result"),
        visibility=visibility,
    )
