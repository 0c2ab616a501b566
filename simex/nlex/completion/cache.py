"""Completions on disk: what was paid for once is not asked for again.

One JSON object a line, appended as answers come. A stopped job that starts again finds
there what it had; a torn last line is dropped. An answer that was cut is paid for like
any other, so its line holds the reason in place of a text.
"""

import collections
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Iterable, Iterator

from simex.nlex.completion import Completer, Completion, CompletionFailure

_Result = Completion | CompletionFailure


class CachedCompleter:
    """A completer that remembers answers; failures that cost no tokens it asks anew."""

    def __init__(self, inner: Completer, path: pathlib.Path, *, salt: str):
        """Wraps `inner`.

        Args:
          inner: asked for what is not in the file.
          path: of the file; one process at a time may use it.
          salt: names what answers depend on beside the prompt: model, temperature.
        """
        self._inner, self._path, self._salt = inner, path, salt
        path.parent.mkdir(parents=True, exist_ok=True)
        self._places: dict[str, int] = {}  # key -> where its line begins
        self.num_hits = 0
        # Of all answers in the file, also those that an earlier attempt paid for.
        self.num_prompt_tokens = self.num_completion_tokens = 0
        self._read()

    def complete_all(self, prompts: Iterable[str]) -> Iterator[_Result]:
        """As `Completer.complete_all`."""
        pending: collections.deque[tuple[str, _Result | None]] = collections.deque()
        rest: Iterator[str] = iter(prompts)
        # What an earlier attempt came to is given one by one, not taken ahead.
        for prompt in rest:
            if (known := self._load(self._key(prompt))) is None:
                rest = itertools.chain([prompt], rest)
                break
            self.num_hits += 1
            yield known

        def unknown() -> Iterator[str]:
            for prompt in rest:
                key = self._key(prompt)
                known = self._load(key)
                pending.append((key, known))
                if known is None:
                    yield prompt

        with open(self._path, "ab") as file:
            for result in self._inner.complete_all(unknown()):
                yield from self._pop_known(pending)
                key, _ = pending.popleft()
                if isinstance(result, Completion) or result.num_completion_tokens:
                    self._places[key] = file.tell()
                    line = {"key": key, **vars(result)}
                    file.write(json.dumps(line).encode() + b"\n")
                    file.flush()
                    self._count(result)
                yield result
            yield from self._pop_known(pending)
            os.fsync(file.fileno())

    def _pop_known(
        self, pending: collections.deque[tuple[str, _Result | None]]
    ) -> Iterator[_Result]:
        while pending and pending[0][1] is not None:
            known = pending.popleft()[1]
            self.num_hits += 1
            yield known  # type: ignore[misc]

    def _key(self, prompt: str) -> str:
        return hashlib.sha256(f"{self._salt}\0{prompt}".encode()).hexdigest()

    def _load(self, key: str) -> _Result | None:
        if key not in self._places:
            return None
        with open(self._path, "rb") as file:
            file.seek(self._places[key])
            return _parse_line(file.readline())[1]

    def _count(self, result: _Result) -> None:
        self.num_prompt_tokens += result.num_prompt_tokens
        self.num_completion_tokens += result.num_completion_tokens

    def _read(self) -> None:
        """Finds the lines of the file, and cuts off a torn last one."""
        if not self._path.exists():
            return
        position = 0
        with open(self._path, "rb") as file:
            for data in file:
                if not data.endswith(b"\n"):
                    break
                try:
                    key, result = _parse_line(data)
                    self._count(result)
                except (ValueError, LookupError, TypeError, AttributeError):
                    pass  # a damaged line is asked for again
                else:
                    self._places[key] = position
                position += len(data)
        os.truncate(self._path, position)


def _parse_line(data: bytes) -> tuple[str, _Result]:
    """The key and what came. Raises one of the errors that `_read` names."""
    line = json.loads(data)
    key = line.pop("key")
    return key, CompletionFailure(**line) if "reason" in line else Completion(**line)
