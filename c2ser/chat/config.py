"""Settings of a language model that is asked by text; this module imports nothing that takes time."""

from dataclasses import dataclass, field
from typing import Any, Literal

ChatName = Literal["local", "server", "batch"]
"""The ways to reach a model that configurations can name."""


@dataclass
class Sampling:
    """Which model is asked, and how it chooses its words.

    Attributes:
        model: folder, hub id, or the name that the server knows it by.
        temperature: 0 always takes the most probable token.
        top_p: tokens are drawn from the most probable ones that together have this probability.
        max_tokens: a reply is cut off here; a reply that is cut off counts as failed.
        seed: the seed of each request follows from this one, the utterance and the attempt.
        extra: more fields for the body of a request, for what a server can do beyond the common protocol.
    """

    model: str = "zai-org/glm-4-9b-chat-hf"
    temperature: float = 0.8
    top_p: float = 0.8
    max_tokens: int = 400
    seed: int = 1
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class LocalConfig:
    """How a model runs in this process.

    Attributes:
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
        dtype: precision of its weights.
        batch: prompts answered at once.
    """

    device: str = "auto"
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    batch: int = 64


@dataclass
class ServerConfig:
    """How a server is asked.

    Attributes:
        url: where its API begins, such as http://localhost:8000/v1.
        key: the environment variable that holds the key, where the server wants one.
        concurrency: requests under way at once.
        rate: new requests per second, at most; 0 for no limit.
        timeout: seconds to wait for an answer.
        retries: how often a request is sent again when the server is busy, fails or does not answer.
        backoff: seconds before the second retry; doubled each time up to a minute, plus a random part of the same
            size. If the server names a time (Retry-After), that time is used.
    """

    url: str = "http://localhost:8000/v1"
    key: str = "OPENAI_API_KEY"
    concurrency: int = 64
    rate: float = 0.0
    timeout: float = 120.0
    retries: int = 8
    backoff: float = 0.5


@dataclass
class BatchConfig:
    """Which program answers the files of requests.

    Attributes:
        command: a program, with its first arguments, that takes `-i requests -o responses --model name`, such as
            "vllm run-batch". If it is empty, the requests are written and you run the program yourself; the next call
            reads the responses.
    """

    command: str = ""


@dataclass
class ChatConfig:
    """A language model that is asked by text.

    Attributes:
        sampling: which model, and how it chooses its words.
        local: settings of a model in this process.
        server: settings of an OpenAI-compatible server.
        batch: settings of files of requests and responses.
    """

    sampling: Sampling = field(default_factory=Sampling)
    local: LocalConfig = field(default_factory=LocalConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
