"""Completions from any endpoint that speaks the OpenAI chat protocol over HTTP.

Requests run side by side in threads, which wait for the network and nothing else. What
may pass is tried again: time-outs, broken connections, 429 (after the pause that the
endpoint asks for), 5xx, and answers that are no answers. What cannot pass, such as a
wrong key or an unknown model, stops everything with a sentence.
"""

import collections
import dataclasses
import http.client
import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from simex.core.errors import UserError
from simex.nlex.completion import Completion, CompletionFailure

_MAX_ANSWER_BYTES = 16 << 20
_MAX_PAUSE_SECS = 60.0
# The request itself is at fault: nothing gets better by asking again.
_REFUSED = frozenset({400, 413, 422})
_MISCONFIGURED = frozenset({401, 403, 404, 405})
_OWN_KEYS = ("model", "messages", "max_tokens", "temperature")  # of a request


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a language model is served, and how it is asked.

    Example, Qwen3 without thinking as vLLM and SGLang serve it: ``Endpoint(url=..., model=
    "Qwen/Qwen3-32B", extra_body={"chat_template_kwargs": {"enable_thinking": False}})``.
    """

    url: str  # of the API: ".../v1"; "/chat/completions" is added
    model: str
    api_key_variable: str = ""  # the environment variable that holds the key; "": none
    max_tokens: int = 4096
    temperature: float = 0.0
    timeout_secs: float = 120.0
    max_attempts: int = 5
    num_parallel: int = 16
    first_pause_secs: float = 1.0  # doubled after each attempt
    max_failures_in_row: int = 20  # prompts given up, until the endpoint is
    price_per_million_prompt_tokens: float = 0.0  # in whatever money the bill is
    price_per_million_completion_tokens: float = 0.0
    extra_body: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What else each request holds beside model, messages, max_tokens and temperature."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise UserError(f"Endpoint.url must be http(s)://...; got {self.url!r}.")
        if min(self.max_attempts, self.num_parallel, self.timeout_secs) <= 0:
            raise UserError(
                "Endpoint.max_attempts, num_parallel and timeout_secs must be above 0."
            )
        if own := [key for key in _OWN_KEYS if key in self.extra_body]:
            raise UserError(
                "Endpoint.extra_body must hold what has no setting of its own; got "
                f"{', '.join(own)}. Set the fields of Endpoint."
            )

    @property
    def salt(self) -> str:
        """What answers depend on beside the prompt."""
        salt = f"{self.model} {self.temperature} {self.max_tokens}"
        if self.extra_body:
            salt += f" {json.dumps(dict(self.extra_body), sort_keys=True)}"
        return salt


class _Retry(Exception):
    """This attempt failed; another may not."""

    def __init__(self, reason: str, *, pause_secs: float | None = None):
        super().__init__(reason)
        self.pause_secs = pause_secs


class EndpointCompleter:
    """Asks an endpoint; see `Completer`. Threads end when an iteration ends."""

    def __init__(self, endpoint: Endpoint):
        """Nothing is asked yet. Raises UserError where the key is not set."""
        self._endpoint = endpoint
        self._key = ""
        if endpoint.api_key_variable:
            self._key = os.environ.get(endpoint.api_key_variable, "")
            if not self._key:
                raise UserError(
                    f"The environment variable {endpoint.api_key_variable} must hold "
                    f"the key for {endpoint.url}; it is not set. Export it."
                )
        self.num_retries: collections.Counter[str] = collections.Counter()  # by reason
        self._lock = threading.Lock()
        self._is_stopped = threading.Event()

    def complete_all(
        self, prompts: Iterable[str]
    ) -> Iterator[Completion | CompletionFailure]:
        """As `Completer.complete_all`.

        Raises:
          UserError: a wrong key or model, or an endpoint that answers no more.
        """
        return _stop_where_nobody_answers(
            self._complete_side_by_side(prompts),
            most=self._endpoint.max_failures_in_row,
            url=self._endpoint.url,
        )

    def _complete_side_by_side(
        self, prompts: Iterable[str]
    ) -> Iterator[Completion | CompletionFailure]:
        waiting: collections.deque[Future[Completion | CompletionFailure]]
        waiting = collections.deque()
        self._is_stopped.clear()
        pool = ThreadPoolExecutor(self._endpoint.num_parallel)
        try:
            for prompt in prompts:
                waiting.append(pool.submit(self._complete, prompt))
                if len(waiting) >= 2 * self._endpoint.num_parallel:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            self._is_stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _complete(self, prompt: str) -> Completion | CompletionFailure:
        pause = self._endpoint.first_pause_secs
        attempt, reason = 0, ""
        while attempt < self._endpoint.max_attempts and not self._is_stopped.is_set():
            attempt += 1
            try:
                return self._ask(prompt)
            except _Retry as error:
                reason = str(error)
                with self._lock:
                    self.num_retries[reason] += 1
                if attempt == self._endpoint.max_attempts:
                    break
                # Jitter, or all threads come back at the same moment.
                wait = pause * (0.5 + random.random())
                wait = error.pause_secs if error.pause_secs is not None else wait
                self._is_stopped.wait(min(wait, _MAX_PAUSE_SECS))
                pause *= 2
        return CompletionFailure(reason=reason or "stopped", num_attempts=attempt)

    def _ask(self, prompt: str) -> Completion | CompletionFailure:
        try:
            with urllib.request.urlopen(
                self._request(prompt), timeout=self._endpoint.timeout_secs
            ) as answer:
                return _parse_answer(_read_all(answer, self._endpoint.timeout_secs))
        except urllib.error.HTTPError as error:
            with error:
                return self._judge_status(error)
        except TimeoutError:
            raise _Retry("timed out") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise _Retry("timed out") from None
            raise _Retry("no connection") from None
        except (http.client.HTTPException, OSError):
            raise _Retry("the connection broke") from None

    def _request(self, prompt: str) -> urllib.request.Request:
        body = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self._endpoint.max_tokens,
            "temperature": self._endpoint.temperature,
            **self._endpoint.extra_body,
        }
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        url = self._endpoint.url.rstrip("/") + "/chat/completions"
        return urllib.request.Request(url, json.dumps(body).encode(), headers)

    def _judge_status(self, error: urllib.error.HTTPError) -> CompletionFailure:
        if error.code in _MISCONFIGURED:
            raise UserError(
                f"{self._endpoint.url} must serve {self._endpoint.model!r} to this key; "
                f"it answered {error.code}. Check url, model and api_key_variable."
            )
        if error.code in _REFUSED:
            return CompletionFailure(
                reason=f"refused with {error.code}", is_of_prompt=True
            )
        pause = _parse_pause(error.headers.get("Retry-After"))
        raise _Retry(f"status {error.code}", pause_secs=pause)


def _stop_where_nobody_answers(
    results: Iterator[Completion | CompletionFailure], *, most: int, url: str
) -> Iterator[Completion | CompletionFailure]:
    """Holds failures back until an answer comes; raises UserError if none does.

    An endpoint that is down would else cost every example that is still to come. What
    was held back is not recorded, so the next attempt asks for it again.
    """
    held: list[CompletionFailure] = []
    for result in results:
        if isinstance(result, CompletionFailure) and not result.is_of_prompt:
            held.append(result)
            if len(held) < most:
                continue
            raise UserError(
                f"{url} must answer; it gave up on {most} prompts in a row (the last: "
                f"{result.reason}). See that it works; the same command continues."
            )
        yield from held
        held.clear()
        yield result
    yield from held


def _read_all(answer: http.client.HTTPResponse, timeout_secs: float) -> bytes:
    # The time-out of a socket is for each read: one byte a minute would last for ever.
    deadline = time.monotonic() + timeout_secs
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if time.monotonic() > deadline:
            raise _Retry("timed out")
        if size > _MAX_ANSWER_BYTES:
            raise _Retry("the answer is too long")
    return b"".join(parts)


def _parse_answer(data: bytes) -> Completion | CompletionFailure:
    try:
        answer = json.loads(data)
        choice = answer["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _Retry("garbage") from None
    usage = answer.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    num_prompt_tokens = _count(counts.get("prompt_tokens"))
    num_completion_tokens = _count(counts.get("completion_tokens"))
    if choice.get("finish_reason") == "length":
        return CompletionFailure(
            reason="the answer does not end",
            is_of_prompt=True,
            num_prompt_tokens=num_prompt_tokens,
            num_completion_tokens=num_completion_tokens,
        )
    if not isinstance(text, str) or not text.strip():
        raise _Retry("an empty answer")
    return Completion(
        text=text,
        num_prompt_tokens=num_prompt_tokens,
        num_completion_tokens=num_completion_tokens,
    )


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0


def _parse_pause(text: str | None) -> float | None:
    """Seconds of a Retry-After header; None for none, or for a date."""
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
