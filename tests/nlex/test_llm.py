"""A language model behind a real HTTP server that misbehaves in every way."""

import http.server
import json
import re
import threading
import time

import pytest

from simex.core.errors import UserError
from simex.jobs.write_explanations import Rules, explain_with_model
from simex.nlex.completion import BatchCompleter, Completion, CompletionFailure
from simex.nlex.completion.cache import CachedCompleter
from simex.nlex.completion.cost import find_cost
from simex.nlex.completion.endpoint import Endpoint, EndpointCompleter
from simex.nlex.explanation import Explanation
from simex.nlex.grounding import check_grounding
from simex.nlex.noise import Noise
from simex.nlex.rewriters.llm import (
    LlmRewriter,
    RewriteFailure,
    parse_explanation,
    render_prompt,
)
from simex.nlex.truth import Truth
from simex.traces.records import to_record


class Server:
    """Answers each request by the next entry of `script`, then with "fine"."""

    def __init__(self):
        self.script = []
        self.requests = []
        self.times = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                size = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(size))
                server.requests.append(body)
                server.times.append(time.monotonic())
                what = server.script.pop(0) if server.script else "fine"
                server.answer(self, what, body)

            def log_message(self, *arguments):
                del arguments

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def answer(self, handler, what, body):
        if what == "silence":
            time.sleep(1.0)
            return
        if isinstance(what, tuple):  # status, headers
            status, headers = what
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        data = what
        if what == "fine":
            prompt = body["messages"][0]["content"]
            answer = {
                "choices": [{"message": {"content": f"said {prompt}"}}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3},
            }
            data = json.dumps(answer).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def make_completer(server, **settings):
    defaults = {"timeout_secs": 0.4, "first_pause_secs": 0.01, "num_parallel": 1}
    endpoint = Endpoint(url=server.url, model="m", **(defaults | settings))
    return EndpointCompleter(endpoint)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("silence", "timed out"),
        (b"<html>busy</html>", "garbage"),
        (b'{"choices": []}', "garbage"),
        (b'{"choices": [{"message": {"content": null}}]}', "an empty answer"),
        (b'[{"a": 1}]', "garbage"),
        ((500, {}), "status 500"),
        ((503, {}), "status 503"),
        ((429, {"Retry-After": "0.01"}), "status 429"),
        ((429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), "status 429"),
    ],
)
def test_what_may_pass_is_tried_again(server, fault, reason):
    server.script = [fault]
    completer = make_completer(server)
    (result,) = completer.complete_all(["a"])
    assert result == Completion(
        text="said a", num_prompt_tokens=7, num_completion_tokens=3
    )
    assert dict(completer.num_retries) == {reason: 1} and len(server.requests) == 2


def test_the_pause_that_is_asked_for_is_kept(server):
    server.script = [(429, {"Retry-After": "0.3"})]
    list(make_completer(server).complete_all(["a"]))
    assert server.times[1] - server.times[0] >= 0.3


def test_after_the_last_attempt_the_failure_keeps_its_place(server):
    server.script = [(500, {})] * 3
    results = list(make_completer(server, max_attempts=3).complete_all(["a", "b"]))
    assert results[0] == CompletionFailure(reason="status 500", num_attempts=3)
    assert isinstance(results[1], Completion) and results[1].text == "said b"


def test_a_refused_prompt_is_not_asked_again_and_a_wrong_key_stops(server):
    server.script = [(400, {})]
    (result,) = make_completer(server).complete_all(["too long"])
    assert result == CompletionFailure(reason="refused with 400", is_of_prompt=True)
    server.script = [(401, {})]
    with pytest.raises(UserError, match="401"):
        list(make_completer(server).complete_all(["a"]))
    with pytest.raises(UserError, match="NO_SUCH_KEY"):
        make_completer(server, api_key_variable="NO_SUCH_KEY")


def test_an_answer_that_was_cut_is_none_and_is_not_asked_for_again(server):
    """Two ways to say that max_tokens were spent: on words, or all on thinking."""
    for content in ("x is 4.\nOutput: '4'\nand then", None):
        choice = {"message": {"content": content}, "finish_reason": "length"}
        server.script = [json.dumps({"choices": [choice]}).encode()]
        cut, whole = make_completer(server).complete_all(["a", "b"])
        reason = "the answer does not end"
        assert cut == CompletionFailure(reason=reason, is_of_prompt=True)
        assert isinstance(whole, Completion)
    assert len(server.requests) == 4  # two prompts twice


def test_what_else_a_request_holds_is_sent_and_told_apart(server):
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    plain = Endpoint(url=server.url, model="m")
    list(make_completer(server).complete_all(["a"]))
    list(make_completer(server, extra_body=extra).complete_all(["a"]))
    first, second = server.requests
    assert second == first | extra
    quiet = Endpoint(url=server.url, model="m", extra_body=extra)
    assert plain.salt == "m 0.0 4096"  # of the caches that are there
    assert quiet.salt != plain.salt
    with pytest.raises(UserError, match="extra_body must hold .* got temperature"):
        Endpoint(url=server.url, model="m", extra_body={"temperature": 1.0})


def test_many_answers_come_in_order_from_parallel_requests(server):
    prompts = [str(number) for number in range(40)]
    completer = make_completer(server, num_parallel=8, timeout_secs=10)
    texts = [result.text for result in completer.complete_all(prompts)]
    assert texts == [f"said {prompt}" for prompt in prompts]


def test_what_the_cache_knows_is_not_taken_ahead(server, tmp_path):
    path, prompts = tmp_path / "cache.jsonl", [f"p{n}" for n in range(20)]
    first = CachedCompleter(make_completer(server), path, salt="m")
    answers = list(first.complete_all(prompts))
    taken = []

    def take():
        for prompt in [*prompts, "new"]:
            taken.append(prompt)
            yield prompt

    again = CachedCompleter(make_completer(server), path, salt="m")
    results = again.complete_all(take())
    assert [next(results), next(results)] == answers[:2]
    assert taken == prompts[:2]
    assert len(list(results)) == 19 and taken[-1] == "new"
    assert again.num_hits == 20


def test_the_cache_asks_only_for_what_it_does_not_know(server, tmp_path):
    path = tmp_path / "cache.jsonl"
    salt = "m"
    first = CachedCompleter(make_completer(server), path, salt=salt)
    list(first.complete_all(["a", "b"]))
    with path.open("ab") as file:
        file.write(b'{"key": "torn')  # as a kill leaves it
    again = CachedCompleter(make_completer(server), path, salt=salt)
    texts = [r.text for r in again.complete_all(["b", "c", "a", "d", "c"])]
    assert texts == [f"said {p}" for p in "bcadc"]
    asked = [r["messages"][0]["content"] for r in server.requests]
    assert asked[:2] == ["a", "b"] and set(asked[2:]) == {"c", "d"}
    assert again.num_hits >= 2
    other = CachedCompleter(make_completer(server), path, salt="other model")
    list(other.complete_all(["a"]))
    assert len(server.requests) > len(asked)


def test_an_answer_that_was_cut_is_counted_and_not_paid_twice(server, tmp_path):
    choice = {"message": {"content": "x is"}, "finish_reason": "length"}
    usage = {"prompt_tokens": 7, "completion_tokens": 4096}
    cut = json.dumps({"choices": [choice], "usage": usage}).encode()
    server.script = [(400, {}), cut]
    path = tmp_path / "cache.jsonl"
    endpoint = Endpoint(
        url=server.url,
        model="m",
        price_per_million_prompt_tokens=1e5,
        price_per_million_completion_tokens=1e6,
    )
    for num_hits in (0, 2):
        cache = CachedCompleter(make_completer(server), path, salt="m")
        refused, unended, whole = cache.complete_all(["a", "b", "c"])
        assert unended == CompletionFailure(
            reason="the answer does not end",
            is_of_prompt=True,
            num_prompt_tokens=7,
            num_completion_tokens=4096,
        )
        assert isinstance(whole, Completion) and whole.text == "said c"
        cost = find_cost(cache, endpoint)
        assert cost.num_hits == num_hits
        if not num_hits:  # a prompt that was refused cost nothing
            assert isinstance(refused, CompletionFailure)
            # 7 and 7 tokens of prompts at 0.1, 4096 and 3 of answers at 1
            assert cost.price == pytest.approx(1.4 + 4099)
    # "a" was asked again, and answered: 7 more at 0.1 and 3 at 1.
    assert len(server.requests) == 4 and cost.price == pytest.approx(2.1 + 4102)


def test_a_checkpoint_completes_by_batches():
    sizes = []

    def sample(prompts):
        sizes.append(len(prompts))
        return [Completion(text=p.upper()) for p in prompts]

    completer = BatchCompleter(sample, batch_size=2)
    assert [r.text for r in completer.complete_all("abc")] == ["A", "B", "C"]
    assert sizes == [2, 1]


def test_a_model_tells_a_trace_and_its_statements_are_checked(trace_of):
    trace = trace_of("t = 0\nfor x in [4, 7]:\n    t += x\nprint(t)\n")
    told = iter(
        [
            "t becomes 4, then t becomes 11. It prints 11.\nOutput: '11'",
            "First t becomes 5.\n**Output:** `12`",
            "No end.",
        ]
    )
    rewriter = LlmRewriter(
        BatchCompleter(lambda p: [Completion(text=next(told)) for _ in p], batch_size=1)
    )
    good, bad, none = rewriter.rewrite_all([trace] * 3)
    truth = Truth(trace)
    assert isinstance(good, Explanation) and good.claimed_output == "11"
    grounding = check_grounding(good, truth)
    assert grounding.score == 1.0 and grounding.is_output_right
    assert isinstance(bad, Explanation)
    grounding = check_grounding(bad, truth)
    assert grounding.score == 0.0 and not grounding.is_output_right
    assert none == RewriteFailure(reason="it does not end with an output")
    assert rewriter.counts.num_explanations == 2 and rewriter.counts.num_failures == 1


def test_the_job_keeps_the_order_and_a_reason_for_each_drop(trace_of):
    trace = to_record(trace_of("t = 4\nprint(t)\n"))
    told = iter(
        [
            "t becomes 4.\nOutput: '4'",
            "t becomes 5.\nOutput: '4'",
            "t becomes 4.\nOutput: '5'",
            "Nothing.",
        ]
    )
    rewriter = LlmRewriter(
        BatchCompleter(lambda p: [Completion(text=next(told)) for _ in p], batch_size=2)
    )
    records = [{"id": "a", "trace": trace}, {"id": "b", "dropped": "infra error"}]
    records += [{"id": name, "trace": trace} for name in "cde"]
    records += [{"id": "f", "trace": {**trace, "is_truncated": True}}]
    found = list(explain_with_model(records, rewriter, rules=Rules()))
    assert [(r["id"], r.get("thought") or r["dropped"]) for r in found] == [
        ("a", "t becomes 4."),
        ("b", "infra error"),
        ("c", "not grounded"),
        ("d", "claims another output"),
        ("e", "it does not end with an output"),
        ("f", "trace truncated"),
    ]
    false = found[2]["false_statements"]
    assert false[0]["start"] == 0 and false[0]["text"] == "t becomes 5"


def test_a_model_is_shown_the_wrong_trace_and_judged_by_the_true_one(trace_of):
    trace = to_record(trace_of("t = 4\nprint(t)\n"))
    prompts = []

    def tell(batch):
        prompts.extend(batch)
        # It believes the record; of the next it sees through.
        shown = re.search(r"<global> t=(\d+)", batch[0])[1]
        said = shown if len(prompts) == 1 else "4"
        return [Completion(text=f"t becomes {said}.\nOutput: '4'")]

    rewriter = LlmRewriter(BatchCompleter(tell, batch_size=1))
    noise = Noise(fraction=1.0, place="trace")
    rules = Rules(min_grounding=0.0, noise=noise)
    records = [{"id": name, "trace": trace} for name in "ab"]
    found = list(explain_with_model(records, rewriter, rules=rules))
    assert all("<global> t=4\n" not in prompt for prompt in prompts)
    assert [(r["num_corrupted"], r["grounding"]) for r in found] == [(1, 0), (1, 1)]


def test_the_prompt_holds_the_rules_the_program_and_the_record(trace_of):
    prompt = render_prompt(trace_of("x = int(input())\nprint(x * 2)\n", "21\n"))
    assert "Never mention it" in prompt and "correct nothing" in prompt
    assert "<global> x=21\n<code> 2 print(x * 2)" in prompt and "'42'" in prompt


def test_thinking_before_the_explanation_is_cut_off():
    told = parse_explanation("<think>hm\nOutput: 3</think>x is 4.\nOutput: 'a\\nb'")
    assert isinstance(told, Explanation)
    assert told.text == "x is 4." and told.claimed_output == "a\nb"


def test_thinking_that_does_not_end_is_no_explanation():
    told = parse_explanation("<think>t becomes 5, I guess.\nOutput: '4'\nor")
    assert told == RewriteFailure(reason="its thinking does not end")
