"""Give readers damaged inputs for some minutes; what one does not take well is printed, to be kept in tools/faults."""

import logging
import tempfile
import time
from pathlib import Path

from faults.readers import READERS, problem
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from c2ser.cli import run

PIECES = (
    b"\0", b"\xff", b"\n", b"\r", b'"', b",", b"\t", b" ", b"nan", b"-1", b"1e999", b"\xef\xbb\xbf", b"{", b"[", b"*",
    b"&", b"!!", b": ", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\\", b"'", b"null", b"<", b"\x7f", "高".encode(),
)  # fmt: skip
"""What damage puts in."""

EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(PIECES) | st.binary(max_size=4), st.integers(0, 6)), max_size=6
)
"""Where, what is put in, and how many bytes go."""


def damaged(good: bytes, edits: list[tuple[float, bytes, int]], kept: float) -> bytes:
    """Return a content with edits, of which only the first part is kept."""
    content = good
    for place, piece, gone in edits:
        start = int(place * len(content))
        content = content[:start] + piece + content[start + gone :]
    return content[: int(kept * len(content))] if kept < 0.9 else content


def fuzz(reader: str, number: int, start: int) -> None:
    """Try a reader; an AssertionError shows the smallest content that it does not take well."""
    goods = READERS[reader][2]

    @seed(start)
    @settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(goods), EDITS, st.floats(0, 1))
    def attempt(good: bytes, edits: list[tuple[float, bytes, int]], kept: float) -> None:
        content = damaged(good, edits, kept)
        with tempfile.TemporaryDirectory() as folder:
            seen = problem(reader, content, Path(folder))
        assert not seen, f"({reader!r}, {content!r}): {seen[:200]}"

    attempt()


def main(minutes: float = 10.0, seed: int = 777, reader: str = "") -> None:
    """Go round the readers until the time is over; the status is 1 if one of them did not take an input well.

    Args:
        minutes: how long.
        seed: of the first round.
        reader: only this one.
    """
    logging.getLogger("c2ser").setLevel(logging.CRITICAL)
    end, tried, found, number = time.monotonic() + 60 * minutes, 0, list[str](), seed
    while time.monotonic() < end:
        for name in [reader] if reader else READERS:
            try:
                fuzz(name, 100, number)
                tried += 100
            except AssertionError as error:
                found.append(str(error))
                print(error, flush=True)
        number += 1
    print(f"{tried} inputs taken well, {len(found)} found")
    if found:
        raise ValueError(f"{len(found)} inputs are not taken well; mend the readers, and add the inputs to BROKE")


if __name__ == "__main__":
    run(main)
