"""Completions on disk: what was paid for once is not asked for again.

One JSON object a line, appended as answers come. A stopped job that starts again finds
there what it had; a torn last line is dropped.
"""

import collections
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from simex.nlex.completion import Completer, Completion, CompletionFailure


class CachedCompleter:
    """A completer that remembers; failures are not remembered."""

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

    def complete_all(
        self, prompts: Iterable[str]
    ) -> Iterator[Completion | CompletionFailure]:
        """As `Completer.complete_all`."""
        pending: collections.deque[tuple[str, Completion | None]] = collections.deque()

        def unknown() -> Iterator[str]:
            for prompt in prompts:
                key = self._key(prompt)
                known = self._load(key)
                pending.append((key, known))
                if known is None:
                    yield prompt

        with open(self._path, "ab") as file:
            for result in self._inner.complete_all(unknown()):
                yield from self._pop_known(pending)
                key, _ = pending.popleft()
                if isinstance(result, Completion):
                    self._places[key] = file.tell()
                    line = {"key": key, **vars(result)}
                    file.write(json.dumps(line).encode() + b"\n")
                    file.flush()
                    self._count(line)
                yield result
            yield from self._pop_known(pending)
            os.fsync(file.fileno())

    def _pop_known(
        self, pending: collections.deque[tuple[str, Completion | None]]
    ) -> Iterator[Completion]:
        while pending and pending[0][1] is not None:
            known = pending.popleft()[1]
            self.num_hits += 1
            yield known  # type: ignore[misc]

    def _key(self, prompt: str) -> str:
        return hashlib.sha256(f"{self._salt}\0{prompt}".encode()).hexdigest()

    def _load(self, key: str) -> Completion | None:
        if key not in self._places:
            return None
        with open(self._path, "rb") as file:
            file.seek(self._places[key])
            record = json.loads(file.readline())
        del record["key"]
        return Completion(**record)

    def _count(self, line: dict[str, Any]) -> None:
        self.num_prompt_tokens += line["num_prompt_tokens"]
        self.num_completion_tokens += line["num_completion_tokens"]

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
                    line = json.loads(data)
                    key = line["key"]
                    Completion(**{k: v for k, v in line.items() if k != "key"})
                    self._count(line)
                except (ValueError, LookupError, TypeError, AttributeError):
                    pass  # a damaged line is asked for again
                else:
                    self._places[key] = position
                position += len(data)
        os.truncate(self._path, position)
