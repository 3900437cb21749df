"""Make a page on which experts label the utterances of a data directory."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Label and annotate speech"


def main(data: Path, out: Path, title: str = "Emotion labels") -> None:
    """Write OUT/index.html and its audio: a folder for each expert, who opens the page in a browser and saves a file.

    Args:
        data: data directory.
        out: folder of the page.
        title: its heading.
    """
    from c2ser.labelling.annotation import make_page

    make_page(data, out, title)


if __name__ == "__main__":
    run(main)
