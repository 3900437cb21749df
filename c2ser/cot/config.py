"""The choices of configurations about chains of thought; this module imports nothing that takes time."""

from typing import Literal

Style = Literal["explicit", "implicit"]
"""An explicit chain of thought gives words, attributes and emotion; an implicit one gives the emotion alone."""

WriterName = Literal["template", "local", "server", "batch"]
"""The writers that configurations can name."""

Fallback = Literal["reject", "template"]
"""What happens to an utterance if all its texts fail their checks."""
