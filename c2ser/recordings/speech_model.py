"""What every model that recognises emotions in speech can do, and what it returns."""

import re
from abc import ABC, abstractmethod
from typing import Any

from c2ser.recordings.results import Recogniser

LANGUAGE = re.compile(r"[a-z]{2}")


class SpeechModel(ABC):
    """A model that recognises emotions in speech.

    Attributes:
        classes: the emotions that it tells apart, in the order of tables.
    """

    classes: tuple[str, ...]

    @abstractmethod
    def recogniser(
        self, language: str | None = None, style: str | None = None, answers: bool = True, decode: Any = None
    ) -> Recogniser:
        """Return the function that recognises emotions, after a check of what is asked for.

        Args:
            language: ISO 639-1 code of the spoken language; None if unknown.
            style: the chain of thought to ask for; None takes the model's own.
            answers: whether the model answers in words.
            decode: how answers are decoded, `c2ser.model.config.DecodeConfig`; None for the defaults.

        Raises:
            ValueError: there is no such language or style, or the model cannot do it.
        """


def check_language(language: str | None) -> str | None:
    """Return a language's code.

    Raises:
        ValueError: it is none of ISO 639-1.
    """
    if language is not None and not (isinstance(language, str) and LANGUAGE.fullmatch(language)):
        raise ValueError(f"language {language!r}: no code of ISO 639-1; give two letters, such as en or zh")
    return language
