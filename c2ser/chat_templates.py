"""Chat templates, which are programs that come with a language model: they run in a process of their own, for seconds.

A template may loop for ever or fill all memory, by mistake or by intent; transformers keeps it only from files.
"""

import json
import os
import resource
import signal
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from c2ser.log import one_line

MAX_SECONDS = 10
"""How long a template may run; those of real models take milliseconds."""

MAX_MEMORY = 1 << 30
"""Bytes that it may ask for beyond what the process has."""


def render_chats(tokenizer: Any, chats: Sequence[Sequence[Mapping[str, str]]], name: str) -> list[str]:
    """Return chats as the text that a language model reads, each up to where its answer begins.

    Args:
        tokenizer: a tokenizer of transformers with a chat template.
        chats: messages with `role` and `content`.
        name: of the model, for messages.

    Raises:
        ValueError: the template fails, or takes too long or too much memory; the message names the model.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # the child renders text and ends: what other threads hold is of no use to it
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reading)
        _render(tokenizer, chats, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        written = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        limit = f"ran over {MAX_SECONDS} s" if status == -signal.SIGALRM else "ended without a text"
        raise ValueError(f"{name}: its chat template {limit}; choose another model, or mend the template")
    reply = json.loads(written)
    if "error" in reply:
        raise ValueError(f"{name}: its chat template fails ({reply['error']}); choose another model, or mend it")
    return reply["texts"]


def render_around(tokenizer: Any, chat: Sequence[Mapping[str, str]], place: str, name: str) -> tuple[str, str]:
    """Return what stands before and after a place in a chat.

    Args:
        tokenizer: as in `render_chats`.
        chat: messages, one of which holds the place.
        place: a text that stands once in the chat.
        name: of the model, for messages.

    Raises:
        ValueError: as `render_chats`, or the template does not keep the place.
    """
    before, *rest = render_chats(tokenizer, [chat], name)[0].split(place)
    if len(rest) != 1:
        raise ValueError(f"{name}: its chat template does not keep the text of a turn; choose another model")
    return before, rest[0]


def _render(tokenizer: Any, chats: Sequence[Sequence[Mapping[str, str]]], writing: int) -> NoReturn:
    """Write the texts, or the error, as JSON into a pipe, and end this process, come what may."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.alarm(MAX_SECONDS)
        statm = Path("/proc/self/statm")
        if statm.exists():
            now = int(statm.read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + MAX_MEMORY, now + MAX_MEMORY))
        try:
            texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
            reply: dict[str, Any] = {"texts": texts}
        except Exception as error:  # a template may raise whatever Python can
            reply = {"error": one_line(error) or type(error).__name__}
        with open(writing, "wb") as pipe:
            pipe.write(json.dumps(reply).encode())
        os._exit(0)
    finally:
        os._exit(1)
