"""Measure how stable the answers of all models are."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Decode and score"


def main(data: Path, exp: Path, out: Path) -> None:
    """Print the stability report and write it to OUT: stability.json, stability.md, reliability.png, flips.png.

    Figures whose tables are not there are left out.

    Args:
        data: data directory that was decoded.
        exp: folder with `<model>/decode_<set>`, and `<model>/decode_<set>-<variant>` of variants.
        out: folder of the report.
    """
    from c2ser.scoring.calibration import plot_reliability
    from c2ser.scoring.stability import measure_stability, read_decoded
    from c2ser.scoring.stability_report import plot_flips, report_page
    from c2ser.tables import write_json, write_text

    report = measure_stability(data, read_decoded(exp, data.name))
    for picture in ("reliability.png", "flips.png"):
        (out / picture).unlink(missing_ok=True)
    calibrated = {model: row["calibration"] for model, row in report["models"].items() if "calibration" in row}
    if calibrated:
        plot_reliability(calibrated, f"Probabilities of labels on {data.name}", out / "reliability.png")
    plot_flips(report, out / "flips.png")
    page = report_page(report)
    write_json(out / "stability.json", report)
    write_text(out / "stability.md", page + "\n")
    print(page)


if __name__ == "__main__":
    run(main)
