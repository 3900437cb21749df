"""Make one page of all results, with the recordings behind them."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Decode and score"
PATHS = "exp"


def main(
    exp: list[Path],
    out: Path | None = None,
    data: Path | None = None,
    title: str | None = None,
    sound_mb: float = 12.0,
) -> None:
    """Write an HTML page of the results below a folder, and print its path; it needs no other file and no network.

    It shows the figures of scores.json and stability.json, and plays the recordings behind the cells of each confusion
    matrix.

    Args:
        exp: the folder with `<model>/decode_<set>/scores.json`, or that of one model.
        out: the page; by default report.html in that folder.
        data: folder of the data directories, for the recordings; by default `data` beside that folder.
        title: its heading; by default the name of the recipe.
        sound_mb: megabytes of recordings in the page at most; 0 for none, so that no voice leaves this machine.
    """
    from c2ser.log import get_logger
    from c2ser.report.page import write_report

    if len(exp) > 1:
        raise ValueError(f"{exp[1]}: one folder of results makes one page; give one at a time")
    folder = exp[0].resolve()
    out, data = out or exp[0] / "report.html", data or folder.parent / "data"
    if not any(data.glob("*/utt2spk")):
        get_logger(__name__).warning("%s: holds no data directories, and the page plays nothing; give --data", data)
    said = write_report(folder, data, out, title or folder.parent.name, sound_mb)
    get_logger(__name__).info("%s: %s", out, said)
    print(out)


if __name__ == "__main__":
    run(main, PATHS)
