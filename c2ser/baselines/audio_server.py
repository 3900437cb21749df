"""A model behind an OpenAI-compatible server that takes speech: vLLM with any model, Kimi-Audio, a paid service."""

import time
from collections.abc import Mapping

import numpy as np

from c2ser.baselines.answers import Answer
from c2ser.baselines.config import BaselineConfig
from c2ser.baselines.instructions import Instructions, wav_bytes
from c2ser.chat.config import Sampling
from c2ser.chat.protocol import Chat, Prompt, read_reply, request
from c2ser.chat.server import ServerChat
from c2ser.label_sets import SEVEN


class AudioServer:
    """A model behind a server, asked without chance.

    Args:
        config: how it is asked.
        instructions: what it is asked about each utterance; None asks as `config` says.

    Raises:
        ValueError: the model has no name, the address is none, or the instruction needs a data directory.
    """

    transcribes = False
    labels = SEVEN

    def __init__(self, config: BaselineConfig, instructions: Instructions | None = None) -> None:
        if not config.model:
            raise ValueError("baseline.model: missing; give the name that the server knows the model by")
        self.config, self.instructions = config, instructions or Instructions(config)
        self.sampling = Sampling(config.model, temperature=0.0, top_p=1.0, max_tokens=config.max_new_tokens)
        self.chat: Chat = ServerChat(config.server)

    def to(self, device: object) -> "AudioServer":
        """Return itself: the model runs elsewhere."""
        return self

    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer for the utterances of a batch; see `c2ser.baselines.answers.Answerer`.

        Raises:
            OSError: the server cannot be reached.
        """
        start = time.perf_counter()
        lines = {}
        asked, refused = self.instructions.of(waves)
        for name, text in asked.items():
            prompt = Prompt(name, text, audio=wav_bytes(waves[name]), system=self.config.system)
            line = request(prompt, self.sampling)
            lines[line["custom_id"]] = (name, line)
        replies = {}
        for response in self.chat.responses([line for _, line in lines.values()]):
            name, _ = lines.get(str(response.get("custom_id")), ("", None))
            replies[name] = read_reply(response)
        milliseconds = 1000 * (time.perf_counter() - start) / len(waves)
        answers = {}
        for name in waves:
            reply = replies.get(name)
            problem = refused.get(name) or (reply.problem if reply else "the model did not reply")
            answers[name] = Answer(reply.text if reply else "", None, milliseconds, 0, problem=problem)
        return answers
