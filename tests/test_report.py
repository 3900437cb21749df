"""The page of all results: figures as in scores.json, recordings that play, hostile names that stay text."""

import base64
import html
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
from browser import run_in_browser
from entry import run_entry

from c2ser.bin import measure_stability, score
from c2ser.emotions import EMOTIONS
from c2ser.report.recordings import take_turns
from c2ser.scoring.compare import compare
from c2ser.scoring.pictures import plot_confusion
from c2ser.scoring.probabilities import argmax_labels
from c2ser.scoring.results_page import COLUMNS, cell
from c2ser.tables import read_json, read_table, write_json, write_table

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img/src=x/onerror=alert(2)>",
    "</script><script>window.hacked=3</script>",
    "שלום-مرحبا",
    "{{7*7}}&amp;{%raw%}",
    "你好-😀",
]
"""Ids of utterances, which hold no blanks."""

ANSWERS = {
    HOSTILE[0]: "</script><script>window.hacked = 1</script> The emotion is <b>anger</b>.",
    HOSTILE[3]: "\u202eThe emotion is anger, from right to left. \"quoted\" & 'quoted'",
}
MODEL = "imp<img src=x onerror=alert(4)>licit"


def length(number: int) -> float:
    """Seconds of a recording."""
    return 0.8 + 0.1 * number


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe whose model and baseline were decoded and scored: 24 recordings of 4 speakers."""
    folder = tmp_path_factory.mktemp("recipe")
    names = [*HOSTILE, *(f"u{number:02}" for number in range(18))]
    data, out = folder / "data/te st", folder / "exp" / MODEL / "decode_te st"
    true = {name: EMOTIONS[number % 3] for number, name in enumerate(names)}
    for number in range(len(names)):
        tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(int(16000 * length(number))) / 16000)
        (folder / "wavs").mkdir(exist_ok=True)
        soundfile.write(folder / f"wavs/{number}.wav", tone, 16000)
    write_table(data / "wav.scp", {name: str(folder / f"wavs/{n}.wav") for n, name in enumerate(names)})
    write_table(data / "utt2emo", true)
    write_table(data / "utt2spk", {name: f"s{number % 4}<i>" for number, name in enumerate(names)})
    write_table(data / "utt2dur", {name: f"{length(number):.2f}" for number, name in enumerate(names)})
    write_table(data / "utt2lang", {name: ("en", "zh")[number % 2] for number, name in enumerate(names)})
    write_table(data / "text", {name: f"<u>text</u> {number}" for number, name in enumerate(names)})
    generator = np.random.default_rng(0)
    vectors = {name: generator.dirichlet(np.ones(7)) for name in names}
    rows = {name: " ".join(f"{p:.6f}" for p in vector / vector.sum()) for name, vector in vectors.items()}
    labels = argmax_labels(rows) | {HOSTILE[0]: "anger", HOSTILE[3]: "anger", "u05": "unparsed"}
    del labels["u06"]  # its audio was rejected
    write_table(out / "utt2prob", rows)
    write_table(out / "utt2emo", labels)
    write_table(out / "answer", {name: ANSWERS.get(name, f"The emotion is {labels[name]}.") for name in labels})
    write_table(out / "utt2ms", dict.fromkeys(labels, "10.0 7"))
    for variant in ("noise20", "noise10"):
        write_table(out.with_name(f"decode_te st-{variant}") / "utt2emo", labels | {"u00": "fear", "u01": "disgust"})
    probe = folder / "exp/probe/decode_te st"
    write_table(probe / "utt2emo", dict.fromkeys(names, "anger"))
    score.main(data / "utt2emo", out / "utt2emo", out, data, times=out / "utt2ms")
    score.main(data / "utt2emo", probe / "utt2emo", probe, data)
    measure_stability.main(data, folder / "exp", folder / "exp/stability_te st")
    speakers, runs = read_table(data / "utt2spk"), {MODEL: [labels], "probe": [dict.fromkeys(names, "anger")]}
    write_json(folder / "exp/comparison_te st/comparison.json", compare(true, speakers, runs, baseline="probe"))
    plot_confusion(
        read_json(probe / "scores.json"), "t", folder / "exp/old/curves.png"
    )  # of a training without checkpoints
    history = [{"step": step, "train/loss": 1 / step, "valid/ua": 0.1 * step} for step in range(1, 5)]
    state = {"step": 4, "best": {"step": 3, "score": 0.3}, "history": history}
    write_json(folder / "exp" / MODEL / "checkpoints/step_00000004/state.json", state)
    (folder / "exp" / MODEL / "config.yaml").write_text("stage: implicit # </pre><script>alert(5)</script>\n")
    (folder / "exp" / MODEL / "train.log").write_text("# python -m c2ser.bin.train_c2ser --out 'a & b'\n# start\nx\n")
    return folder


@pytest.fixture(scope="module")
def page(recipe):
    done = run_entry("report", recipe / "exp", "--title", "<b>mine</b>")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(recipe / "exp/report.html")
    return recipe / "exp/report.html"


def matrix_of(text):
    """The counts of all cells by key, as the page shows them."""
    found = re.findall(r'data-cell="(.*?)" data-count="(\d+)"', text)
    return {html.unescape(key): int(count) for key, count in found}


def embedded(text):
    return json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.DOTALL)[1])


def visible(text):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def test_figures_are_those_of_scores_json(recipe, page):
    text, counts = page.read_text("utf-8"), {}
    shown = visible(text.partition("<body>")[2])
    for model in (MODEL, "probe"):
        figures = read_json(recipe / "exp" / model / "decode_te st/scores.json")
        for true, row in figures["confusion"].items():
            counts |= {f"te st/{model}/{true}/{label}": count for label, count in row.items()}
        for rule in COLUMNS.values():
            assert cell(figures, *rule) in shown
        for part in ("durations", "languages", "by_speaker"):
            assert len(figures[part]) > 1
            for name, row in figures[part].items():
                assert f"{name} {row['utterances']} {cell(row, 'ua', 100, 1)}" in shown, name
    assert matrix_of(text) == counts
    content = embedded(text)
    assert {key: len(rows) for key, rows in content["cells"].items()} == counts
    stability = read_json(recipe / "exp/stability_te st/stability.json")["models"][MODEL]
    assert cell(stability, "calibration.ece", 1, 3) in shown
    flips = stability["variants"]["noise10"]
    assert f"noise10 {cell(flips, 'flips', 100, 1)}" in shown
    gap = read_json(recipe / "exp/comparison_te st/comparison.json")[MODEL]["difference"]["ua"]
    low, high = (f"{100 * gap[end]:+.1f}" for end in ("low", "high"))
    assert "UA above probe" in shown and f"{100 * gap['value']:+.1f} [{low}, {high}]" in shown
    drawn = (recipe / "exp/old/curves.png").read_bytes()
    assert f'src="data:image/png;base64,{base64.b64encode(drawn).decode()}" alt="losses and validation' in text
    assert "kept: step 3" in shown and "--out 'a & b'" in shown and "stage: implicit" in shown


def test_cells_hold_their_recordings_the_surest_first(recipe, page):
    out, content = recipe / "exp" / MODEL / "decode_te st", embedded(page.read_text("utf-8"))
    labels, true = read_table(out / "utt2emo"), read_table(recipe / "data/te st/utt2emo")
    vectors = {name: [float(p) for p in row.split()] for name, row in read_table(out / "utt2prob").items()}
    for key, rows in content["cells"].items():
        _, model, emotion, label = key.split("/")
        ids = [content["utterances"][place]["id"] for place, _, _ in rows]
        if model == MODEL:
            assert set(ids) == {i for i in true if (true[i], labels.get(i, "unparsed")) == (emotion, label)}
            sure = [vectors[i][EMOTIONS.index(label)] if label in EMOTIONS else None for i in ids]
            assert [p for _, p, _ in rows] == sure and (None in sure or sure == sorted(sure, reverse=True))
    assert len(content["utterances"]) == 24 and all(utterance["sound"] for utterance in content["utterances"])


def test_the_page_has_no_more_sound_than_it_may(recipe, tmp_path):
    for megabytes, heard in ((0, 0), (0.03, 3)):
        done = run_entry("report", recipe / "exp", "--out", tmp_path / "x.html", "--sound-mb", megabytes, check=True)
        text = (tmp_path / "x.html").read_text("utf-8")
        sounds = [utterance["sound"] for utterance in embedded(text)["utterances"]]
        assert sum(map(len, sounds)) <= megabytes * 1e6 and heard <= sum(map(bool, sounds)) < 24
        number = sum(map(bool, sounds))
        assert f"{number} of 24 recordings can be heard" in done.stderr
        assert f"{number} of 24 recordings" in visible(text) and f" {24 - number} are left out" in visible(text)
        assert ("Voices are personal data" in text) == bool(number)
    assert [*take_turns(["abc", "ad", "", "e"])] == ["a", "e", "b", "d", "c"]


def test_what_cannot_be_heard_says_why_and_loses_nothing_else(recipe, tmp_path):
    data = tmp_path / "data/te st"
    for path in (recipe / "data/te st").iterdir():
        write_table(data / path.name, read_table(path))
    wavs = read_table(data / "wav.scp")
    soundfile.write(tmp_path / "long.wav", np.full(61 * 16000, 0.1), 16000)
    write_table(data / "wav.scp", {**wavs, "u00": str(tmp_path / "gone.wav"), "u01": str(tmp_path / "long.wav")})
    durations = read_table(data / "utt2dur")
    write_table(data / "utt2dur", {name: row for name, row in durations.items() if name != "u01"})
    run_entry("report", recipe / "exp", "--data", tmp_path / "data", "--out", tmp_path / "x.html", check=True)
    text = (tmp_path / "x.html").read_text("utf-8")
    by_id = {utterance["id"]: utterance for utterance in embedded(text)["utterances"]}
    assert "No such file" in by_id["u00"]["silent"] and "longer than 60 s" in by_id["u01"]["silent"]
    assert {name for name, utterance in by_id.items() if not utterance["sound"]} == {"u00", "u01"}
    assert "22 of 24 recordings" in visible(text) and "2 cannot be played" in visible(text)


def test_figures_that_no_longer_fit_the_tables_are_not_mixed_with_them(recipe, tmp_path):
    data = tmp_path / "data/te st"
    for path in (recipe / "data/te st").iterdir():
        write_table(data / path.name, read_table(path))
    write_table(data / "utt2emo", read_table(data / "utt2emo") | {"u07": "disgust"})
    done = run_entry("report", recipe / "exp", "--data", tmp_path / "data", "--out", tmp_path / "x.html", check=True)
    text = (tmp_path / "x.html").read_text("utf-8")
    assert matrix_of(text) == {} and "have changed since they were scored; run stage 9 again" in visible(text)
    assert "have changed" in done.stderr
    done = run_entry("report", recipe / "exp", "--data", tmp_path / "none", "--out", tmp_path / "x.html", check=True)
    assert f"{tmp_path}/none: holds no data directories" in done.stderr
    text = (tmp_path / "x.html").read_text("utf-8")
    assert matrix_of(text) == {} and "there is no" in visible(text) and "0 of 0 recordings" in visible(text)


def test_models_deep_below_and_sets_without_a_data_directory_are_shown(recipe, tmp_path):
    """As egs/c2ser has them: ablations, fine-tuned epochs, and cross-validations of probes."""
    exp, model = tmp_path / "recipe/exp", recipe / "exp" / MODEL
    for place in ("without_whisper/implicit", "meld/finetune/epoch_0"):
        shutil.copytree(model, exp / place)
    figures = read_json(model / "decode_te st/scores.json")
    folded = {**figures, "folds": {"1": figures}, "mean": {"ua": 0.123, "wa": 0.4}}
    write_json(exp / "probe_esd/probe/decode_cross-validation/scores.json", folded)
    run_entry("report", exp, "--data", recipe / "data", check=True)
    text = (exp / "report.html").read_text("utf-8")
    keys = {tuple(key.split("/")[:-2]) for key in matrix_of(text)}
    assert keys == {("te st", "without_whisper", "implicit"), ("te st", "meld", "finetune", "epoch_0")}
    shown = visible(text)
    assert "probe_esd/probe, mean of folds 12.3 40.0" in shown and "cross-validation/wav.scp" in shown
    assert text.count('class="chart"') == 2 and "24 of 24 recordings" in shown  # of a training, not of its epoch


def test_bad_input_is_one_line(recipe, tmp_path):
    done = run_entry("report", tmp_path)
    assert done.returncode == 1 and "no scores.json in it; run stages 8 and 9 first" in done.stderr
    done = run_entry("report", recipe / "exp", recipe / "data")
    assert done.returncode == 1 and "one folder of results makes one page" in done.stderr
    assert len(done.stderr.splitlines()) == 1


PLAY = """
const context = await browser.newContext({ viewport: { width: 390, height: 844 } }), page = await context.newPage();
const noise = [];
page.on("console", message => noise.push(message.text()));
page.on("pageerror", error => noise.push(String(error)));
page.on("dialog", dialog => { noise.push(dialog.message()); dialog.dismiss(); });
page.on("request", request => { if (!/^(data|file):/.test(request.url())) noise.push(request.url()); });
await page.goto(args[0]);
const cell = page.locator("button[data-cell]").filter({ hasText: /^[2-9]/ }).first();
await cell.focus();
await page.keyboard.press("Enter");
const players = () => page.evaluate(() => [...document.querySelectorAll(".list audio")].map(
  audio => ({ paused: audio.paused, time: audio.currentTime, length: audio.duration, id: audio.ariaLabel })));
await page.waitForFunction(() => document.querySelector(".list audio").currentTime > 0.2);
const first = await players();
await page.waitForFunction(() => document.querySelectorAll(".list audio")[1].currentTime > 0.1);
const second = await players();
const seen = await page.evaluate(name => {
  const seen = {}, model = [...document.querySelectorAll(".model")].find(one => one.innerText.includes(name));
  document.querySelectorAll("details").forEach(part => { part.open = true; });
  for (const button of model.querySelectorAll("button[data-cell]")) {
    button.click();
    for (const item of model.querySelectorAll(".list li"))
      seen[item.querySelector(".id").innerText] = item.querySelector(".answer")?.innerText ?? "";
  }
  return seen;
}, args[1]);
const state = await page.evaluate(() => ({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  scripts: document.scripts.length, images: document.querySelectorAll("img:not(.paper), body b, u").length,
  hacked: window.hacked ?? null, title: document.querySelector("h1").innerText,
  pressed: document.querySelectorAll("[aria-pressed=true]").length,
  unnamed: [...document.querySelectorAll("button, audio")].filter(part => !part.ariaLabel).length,
}));
return { key: await cell.getAttribute("data-cell"), noise, first, second, seen, ...state };
"""


@pytest.mark.slow
def test_cells_play_their_recordings_in_a_browser_and_hostile_names_stay_text(recipe, page):
    seen = run_in_browser(PLAY, page.as_uri(), MODEL)
    assert seen["noise"] == [] and seen["hacked"] is None
    assert (seen["overflow"], seen["scripts"], seen["images"], seen["unnamed"]) == (0, 2, 0, 0)
    assert seen["title"] == "<b>mine</b>"
    content = embedded(page.read_text("utf-8"))
    wanted = [content["utterances"][place]["id"] for place, _, _ in content["cells"][seen["key"]]]
    assert [player["id"] for player in seen["first"]] == wanted
    numbers = {
        name: int(path.rpartition("/")[2][:-4]) for name, path in read_table(recipe / "data/te st/wav.scp").items()
    }
    playing, waiting = seen["first"][0], seen["first"][1]
    assert not playing["paused"] and waiting["paused"] and waiting["time"] == 0
    assert playing["length"] == pytest.approx(length(numbers[wanted[0]]), abs=0.15)
    then = seen["second"]
    assert then[0]["paused"] and not then[1]["paused"]
    assert then[1]["length"] == pytest.approx(length(numbers[wanted[1]]), abs=0.15)
    answers = read_table(recipe / "exp" / MODEL / "decode_te st/answer")
    assert seen["seen"] == dict.fromkeys(numbers, "") | answers and seen["pressed"] == 2
    assert set(HOSTILE) < set(seen["seen"]) and ANSWERS.items() < answers.items()


def test_answers_are_shown_as_they_were_given(recipe, page):
    content = embedded(page.read_text("utf-8"))
    given = {
        content["utterances"][place]["id"]: answer
        for rows in content["cells"].values()
        for place, _, answer in rows
        if answer
    }
    assert given == read_table(recipe / "exp" / MODEL / "decode_te st/answer")
    assert page.read_text("utf-8").count("<script") == 2  # that of the page, and its data
