"""Show the results of all models as one page."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Decode and score"


def main(exp: Path, out: Path | None = None, title: str = "Results") -> None:
    """Print the results below EXP as Markdown: the best model of each test set, tables, and pictures.

    Args:
        exp: folder with `<model>/decode_<set>/scores.json`.
        out: where to write the page too; its pictures are found from there, else from EXP.
        title: its heading.
    """
    from c2ser.scoring.gallery import find_pictures
    from c2ser.scoring.results_page import find_prompts, find_results, markdown
    from c2ser.tables import write_text

    results = find_results(exp)
    page = markdown(results, title, find_pictures(exp, results, out.parent if out else exp), find_prompts(exp, results))
    if out:
        write_text(out, page + "\n")
    print(page)


if __name__ == "__main__":
    run(main)
