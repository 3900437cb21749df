"""Write the page with the paper's tables and figures, our values beside the paper's."""

import time
from pathlib import Path

from paper.page import write_page
from paper.reference import read_paper

from c2ser.cli import commit, processor, run
from c2ser.log import get_logger
from c2ser.tables import write_text

logger = get_logger(__name__)


def main(data: Path, exp: Path, paper: Path, out: Path) -> None:
    """Write Tables II to IX and Figures 4 to 7 as one page of Markdown, from the results that exist so far.

    Args:
        data: the folder of the data directories.
        exp: the folder of models and results.
        paper: YAML file with the values of the paper and the folders of our results; egs/c2ser/conf/paper.yaml.
        out: the page to write; its pictures go into the folder img next to it.
    """
    origin = f"Page made at commit {commit()}, {time.strftime('%Y-%m-%d')}, on {processor()}."
    write_text(out, write_page(data, exp, read_paper(paper), out.parent / "img", origin) + "\n")
    logger.info("%s: written", out)


if __name__ == "__main__":
    run(main)
