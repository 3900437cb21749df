"""Recognise emotions in recordings: files, folders, lists, calls, hours of speech."""

from pathlib import Path
from typing import Literal

from c2ser.cli import run
from c2ser.model.config import DecodeConfig

GROUP = "Use a model"
PATHS = "inputs"


def main(
    inputs: list[Path],
    model: str | None = None,
    segments: str = "vad",
    channels: Literal["mean", "each"] = "mean",
    speakers: Path | None = None,
    format: Literal["tsv", "csv", "json", "jsonl", "srt", "vtt", "textgrid", "rttm"] | None = None,
    out: Path | None = None,
    resume: bool = False,
    min_confidence: float = 0.0,
    among: list[str] | None = None,
    language: str | None = None,
    answers: bool = True,
    decode: DecodeConfig | None = None,
    device: str = "auto",
) -> None:
    """Print a table with a line for each segment: file, start, end, emotion, probabilities, answer.

    Args:
        inputs: audio and video files, folders, lists (.txt), tables with a column `file` (.csv, .tsv), or - for audio
            from standard input.
        model: folder of a trained model or of an emotion2vec with a classifier, its file, or an id of the Hugging Face
            hub; by default the small model of `make demo`.
        segments: "vad" cuts at pauses, "fixed:10" every 10 s, "none" not at all.
        channels: "mean" mixes them, "each" treats each alone, as in calls with a speaker on each.
        speakers: an RTTM file with the turns of the speakers; segments are cut where turns change, and named.
        format: of the results; by default that of the ending of `out`, else tsv.
        out: the file of the results, or a folder, with a file for each recording, if its name has no ending.
        resume: go on with an interrupted run that had the same options.
        min_confidence: emotions with a smaller probability become "unsure".
        among: the emotions to choose from, such as "[anger, neutral]", where there can be no others; null for all.
        language: "zh" or "en" and so on, if all recordings are in one language.
        answers: whether the model answers in words; implicit models are much faster without.
        decode: how answers are decoded.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    from c2ser.devices import pick_device
    from c2ser.label_sets import chosen_classes
    from c2ser.model.hub import small_model
    from c2ser.model.loading import load
    from c2ser.recordings.assembly import Options
    from c2ser.recordings.formats import Columns
    from c2ser.recordings.inputs import find_recordings, headings_of
    from c2ser.recordings.output import Output, choose_format, with_places
    from c2ser.recordings.pooling import POOL_SECONDS
    from c2ser.recordings.predict_run import predict_recordings
    from c2ser.recordings.turns import read_rttm

    chosen, options = choose_format(format, out), Options(segments, channels, min_confidence, among)
    if speakers and channels == "each":
        raise ValueError("--speakers: its turns are of the whole recording; leave --channels at mean")
    if resume and out is None:
        raise ValueError("--resume: standard output cannot be resumed; give --out")
    recordings = with_places(find_recordings(inputs, read_rttm(speakers) if speakers else None), out, chosen)
    loaded = load(model or small_model(), device)
    recognise = loaded.recogniser(language, None, answers, decode)
    output = Output(out, chosen, Columns(chosen_classes(loaded.classes, among), headings_of(recordings)))
    settings = {"model": model, "speakers": speakers, "language": language, "answers": answers, "decode": decode}
    pool = POOL_SECONDS if pick_device(device) == "cpu" else (decode or DecodeConfig()).batch_seconds
    predict_recordings(recordings, recognise, options, output, settings, resume, pool)


if __name__ == "__main__":
    run(main, PATHS)
