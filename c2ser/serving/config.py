"""The limits of a server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a server accepts.

    Attributes:
        upload_mb: megabytes of one request, all its files together.
        seconds: time for the upload of a request, and then again for its answer.
        requests: requests at the same time, those that wait included.
        files: files in one request.
    """

    upload_mb: float = 100.0
    seconds: float = 300.0
    requests: int = 32
    files: int = 100

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"--limits.{name} {value:g}: nothing would be accepted; give a number above 0")

    @property
    def upload_bytes(self) -> int:
        """Bytes of one request, at most."""
        return int(self.upload_mb * 1_000_000)
