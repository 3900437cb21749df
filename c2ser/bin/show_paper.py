"""Show the paper's tables and figures with ours beside them."""

import time
from pathlib import Path

from c2ser.cli import commit, processor, run
from c2ser.log import get_logger
from c2ser.paper.page import write_page
from c2ser.paper.printed import read_paper
from c2ser.tables import write_text

logger = get_logger(__name__)


def main(data: Path, exp: Path, paper: Path, out: Path) -> None:
    """Write Tables II to IX and Figures 4 to 7 as one page of Markdown, of what there is so far.

    Args:
        data: folder of the data directories.
        exp: folder of what was trained and scored.
        paper: what the paper prints, and where our results lie; egs/c2ser/conf/paper.yaml.
        out: the page; its pictures go into the folder img beside it.
    """
    made = f"Page made at commit {commit()}, {time.strftime('%Y-%m-%d')}, on {processor()}."
    write_text(out, write_page(data, exp, read_paper(paper), out.parent / "img", made) + "\n")
    logger.info("%s: written", out)


if __name__ == "__main__":
    run(main)
