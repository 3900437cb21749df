"""How the texts of strangers and of models are shown."""

import re

QUOTATION = re.compile(r"[“「『\"][^“”「」『』\"]*[”」』\"]")


def shown_name(name: str | None) -> str:
    """Return the name of an uploaded file without folders and control characters; it is never opened."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(character for character in last if character.isprintable()).strip() or "recording"


def without_quotations(answer: str) -> str:
    """Return an answer without the words that it quotes: how something was said, not what."""
    return QUOTATION.sub("“…”", answer)
