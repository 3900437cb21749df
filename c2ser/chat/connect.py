"""From a configuration to a model that answers, and what is recorded about the model."""

import re
from pathlib import Path
from typing import Any

from c2ser.chat.batch import BatchChat
from c2ser.chat.config import ChatConfig, ChatName
from c2ser.chat.journal import Journal
from c2ser.chat.protocol import Chat
from c2ser.chat.server import ServerChat

LICENCES = {
    r"glm-4-9b(?!.*0414)": (
        "GLM-4-9B licence",
        "Commercial use wants a registration with the makers. Who passes on the texts, or a model trained on them, "
        "shows 'Built with glm-4', and the name of such a model begins with 'glm-4'. Qwen/Qwen2.5-7B-Instruct is "
        "under Apache-2.0 and has no such duty.",
    ),
    r"qwen2(\.5)?-(0\.5b|1\.5b|7b|14b|32b)|qwen3-": ("Apache-2.0", "Keep the notices; the texts carry no duty."),
}
"""Licence, and what it asks of those who use the texts, by a pattern in the model's name (read in 2026-11)."""


def open_journal(name: ChatName, config: ChatConfig, table: Path) -> Journal:
    """Return the journal of a table that a model fills; its files are in `<table>.chat/`."""
    folder = table.with_name(table.name + ".chat")
    return Journal(folder, _connect(name, config, folder), config.sampling)


def _connect(name: ChatName, config: ChatConfig, folder: Path) -> Chat:
    if name == "local":
        from c2ser.chat.local import LocalChat  # needs torch, which the other ways do without

        return LocalChat(config.local, config.sampling.model)
    if name == "server":
        return ServerChat(config.server)
    return BatchChat(config.batch, config.sampling.model, folder)


def find_licence(model: str) -> dict[str, str]:
    """Return the licence of a model and the duty that follows for its texts."""
    for pattern, (name, duty) in LICENCES.items():
        if re.search(pattern, model, re.IGNORECASE):
            return {"licence": name, "duty": duty}
    return {
        "licence": "unknown",
        "duty": "Read the model's card before you pass on its texts or a model that was trained on them.",
    }


def describe_model(config: ChatConfig) -> dict[str, Any]:
    """Return what is recorded beside a table that a model filled."""
    return {**vars(config.sampling), **find_licence(config.sampling.model)}
