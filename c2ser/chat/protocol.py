"""Requests to a language model and its responses, as lines of OpenAI's batch files.

A request is `{"custom_id", "method", "url", "body"}`, a response `{"custom_id", "response": {"status_code", "body"},
"error"}`; bodies are those of `/v1/chat/completions`. Servers, `vllm run-batch` and our own models all use this form.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from c2ser.chat.config import Sampling

URL = "/v1/chat/completions"

TRANSIENT = (408, 409, 425, 429, 500, 502, 503, 504)
"""Statuses of failures that may pass: the same request may succeed later."""

Line = dict[str, Any]
"""A request or a response."""


@dataclass(frozen=True)
class Prompt:
    """One question.

    Attributes:
        name: the utterance that it is about.
        text: what the model reads.
        attempt: counts from 0.
        audio: what it hears before that, the bytes of a wav file; None for nothing.
        system: what it is told beforehand; "" for nothing.
    """

    name: str
    text: str
    attempt: int = 0
    audio: bytes | None = None
    system: str = ""


@dataclass(frozen=True)
class Reply:
    """What the model replied.

    Attributes:
        text: the reply; "" if there is a problem.
        problem: why there is no complete text, or None.
    """

    text: str
    problem: str | None = None


class Chat(Protocol):
    """A way to reach a model."""

    def responses(self, requests: Sequence[Line]) -> Iterator[Line]:
        """Yield a response for each request, in any order, as they come in.

        Raises:
            OSError: the model cannot be reached at all; what was yielded so far stays valid.
        """
        ...


def request(prompt: Prompt, sampling: Sampling) -> Line:
    """Return the request of a prompt; its id differs if anything that can change the reply differs."""
    body = {
        "model": sampling.model,
        "messages": _messages(prompt),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": _number(f"{sampling.seed} {prompt.attempt} {prompt.name}") % 2**31,
        **sampling.extra,
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    return {"custom_id": f"{prompt.name}/{prompt.attempt}/{digest}", "method": "POST", "url": URL, "body": body}


def _messages(prompt: Prompt) -> list[Line]:
    content: str | list[Line] = prompt.text
    if prompt.audio is not None:
        data = base64.b64encode(prompt.audio).decode()
        content = [
            {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
            {"type": "text", "text": prompt.text},
        ]
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": content}]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def completion(text: str, finished: bool, model: str) -> Line:
    """Return the body of a response.

    Args:
        text: the reply.
        finished: whether the model ended it by itself; if not, it was cut off.
        model: name of the model.
    """
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop" if finished else "length"}
    return {"object": "chat.completion", "model": model, "choices": [choice]}


def response(custom_id: str, status: int, body: Any) -> Line:
    """Return the response to a request."""
    error = None if status == 200 else {"code": str(status), "message": _message(body)}
    return {"custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": error}


def read_reply(line: Mapping[str, Any]) -> Reply:
    """Read a response; anything malformed in it becomes the problem of the reply."""
    outcome = line.get("response")
    if not isinstance(outcome, dict) or outcome.get("status_code", 200) != 200 or line.get("error"):
        return Reply("", f"the model's server failed: {_message(line.get('error') or outcome)}")
    try:
        choice = outcome["body"]["choices"][0]
        text = choice["message"]["content"]
        finished = choice.get("finish_reason") != "length"
    except (KeyError, IndexError, TypeError, AttributeError):
        return Reply("", "the reply is no chat completion")
    if not isinstance(text, str) or not text.strip():
        return Reply("", "the reply is empty")
    if any("\ud800" <= character <= "\udfff" for character in text):  # JSON can hold half a character, a table cannot
        return Reply("", "the reply holds half a character")
    return Reply(text.strip()) if finished else Reply("", "the reply was cut off; raise max_tokens")


def may_pass(line: Mapping[str, Any]) -> bool:
    """Return whether a response is a failure that may not happen again."""
    outcome = line.get("response")
    status = outcome.get("status_code", 200) if isinstance(outcome, dict) else 0
    return status in (0, *TRANSIENT) or (status == 200 and bool(line.get("error")))


def _message(body: Any) -> str:
    """Return the message of an error, in one short line."""
    while isinstance(body, dict):
        inner = next((body[key] for key in ("message", "error", "detail", "body") if body.get(key)), None)
        if inner is None:
            break
        body = inner
    return " ".join(str(body).encode("utf-8", "replace").decode().split())[:200]
