"""egs/c2ser, the paper's recipe: joined corpora, roles, what is absent, kills; all stages in miniature."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fixtures import emo_emilia, esd, iemocap, meld
from fixtures.sound import sound, text

from c2ser.corpus import read_data_dir
from c2ser.emotions import EMOTIONS
from c2ser.prep.join import Source, join
from c2ser.tables import read_json, read_table, write_table

SETS = ("--train-corpora", "iemocap meld", "--test-corpora", "meld emo_emilia")


@pytest.fixture
def paper(tmp_path, root):
    """The recipe in a project of its own, with every other recipe and a site.sh that is not this machine's."""
    project = tmp_path / "project"
    (project / "egs").mkdir(parents=True)
    for name in ("c2ser", "tools", "utils"):
        (project / name).symlink_to(root / name)
    shutil.copytree(root / "local", project / "local", ignore=shutil.ignore_patterns("site.sh"))
    for recipe in sorted((root / "egs").iterdir()):
        if recipe.name != "c2ser":
            (project / "egs" / recipe.name).symlink_to(recipe)
    ignored = shutil.ignore_patterns("data", "exp", "__pycache__")
    return Path(shutil.copytree(root / "egs/c2ser", project / "egs/c2ser", ignore=ignored))


def environment(**more):
    return os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", **more}


def run(paper, *words, status=0):
    """Run stages; return what they said."""
    command = [paper / "run.sh", "--nj", "2", "--ngpu", "0", "--size", "tiny", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def bytes_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def corpora(folder, *modules):
    for module in modules:
        module.build(folder / module.__name__.split(".")[-1])
    return folder


def test_corpora_are_joined_in_the_roles_of_the_paper(paper, tmp_path):
    db = corpora(tmp_path / "d b (ü)", iemocap, meld, esd, emo_emilia)
    said = run(paper, "--db-root", db, "--stop-stage", "0")
    data = paper / "data"
    absent = ("msp_podcast", "biic_podcast", "mer2024", "m3ed", "casia", "emovdb", "asvp_esd", "emovo", "mesd")
    for name in absent:
        assert said.count(f"{name} is absent; name its folder as root_{name} in local/site.sh") == 1
        assert not [path for path in data.rglob("*") if path.name.startswith(name)]
    assert said.count("is absent") == len(absent)
    # IEMOCAP has no official split: its recipe's test set is learnt from too; the official test sets of others are not
    learnt = {
        "iemocap": iemocap.UTTERANCES["train"] | iemocap.UTTERANCES["test"],
        "meld": meld.UTTERANCES["train"],
        "esd": esd.UTTERANCES["train"],
    }
    for name, rows in learnt.items():
        assert read_table(data / name / "train/utt2emo") == rows
    assert read_table(data / "train/utt2emo") == {f"{c}-{i}": e for c, rows in learnt.items() for i, e in rows.items()}
    chosen = {f"{module.__name__[9:]}-{i}" for module in (iemocap, meld, esd) for i in module.UTTERANCES["valid"]}
    assert set(read_table(data / "valid/utt2emo")) == chosen
    own, joined = read_data_dir(data / "meld/train"), read_data_dir(data / "train")
    one, other = own["Chandler-train_dia0_utt0"], joined["meld-Chandler-train_dia0_utt0"]
    assert (other.speaker, other.text, other.wav, other.channel) == ("meld-Chandler", one.text, one.wav, 2)
    assert joined["esd-0001-001051"].text == "" and not (data / "train/utt2fold").exists()
    reasons = read_table(data / "train/rejected")
    assert reasons["iemocap-Ses01M-Ses01F_impro01_M003"].startswith("21.0 s, over 20 s")
    assert reasons["meld-Joey-train_dia125_utt3"].startswith("its clip is unreadable")
    assert read_json(data / "meld_test/overlap.json")["data/train"] == {"id": [], "speaker": [], "text": []}
    assert read_json(data / "esd_test/overlap.json")["data/train"]["text"] == ["esd-0010-000371"]


def test_test_sets_and_folds_are_those_of_tables_5_and_6(root, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.syspath_prepend(root / "egs/c2ser/local")
    spec = importlib.util.spec_from_file_location("paper_data_prep", root / "egs/c2ser/local/data_prep.py")
    stage0 = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage0)
    names = ("m3ed", "meld", "esd", "casia", "emovdb", "asvp_esd", "emovo", "mesd", "emo_emilia")
    modules = {name: importlib.import_module(f"fixtures.{name}") for name in names}
    data = tmp_path / "data"
    stage0.main(data, ["meld", "esd"], [*names], db_root=corpora(tmp_path / "db", *modules.values()))
    for name, module in modules.items():
        every = {i: emotion for rows in module.UTTERANCES.values() for i, emotion in rows.items()}
        official = name in ("m3ed", "meld", "esd")
        tested = module.UTTERANCES["test"] if official else every
        assert read_table(data / f"{name}_test/utt2emo") == {f"{name}-{i}": e for i, e in tested.items()}
        raw = read_table(data / f"{name}_raw/utt2emo")
        assert raw == every | getattr(module, "RAW", {})
        folds = read_table(data / f"{name}_raw/utt2fold")
        assert set(folds) == set(raw)
        if name in ("meld", "m3ed"):
            assert folds == {i: {"test": "1"}.get(part, part) for part, rows in module.UTTERANCES.items() for i in rows}
        elif name in ("emovdb", "mesd"):  # EmoBox draws its own validation set
            sets = {i: part for part, rows in module.UTTERANCES.items() for i in rows}
            assert all(folds[i] == {"test": "1"}.get(part, "train") for i, part in sets.items())
        elif name == "asvp_esd":
            assert folds["bonus0150-03-02-04-01-52-150-04-01-00-14_-02"] == "1"
            assert folds["actor0112-03-02-03-01-44-98-02-02-01-37"] == "train"
        else:
            assert set(folds.values()) <= set("123456") and len(set(folds.values())) > 1
    assert read_table(data / "casia_raw/utt2fold")["wangzhe-sad_250"] == "1"


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_a_kill_changes_nothing(paper, tmp_path):
    db = corpora(tmp_path / "db", iemocap, meld, emo_emilia)
    words = ["--db-root", db, "--stop-stage", "0", *SETS]
    run(paper, *words)
    whole = bytes_of(paper / "data")
    said = run(paper, *words)
    assert said.count("prepared before") == 5 and "preparing it" not in said  # three corpora, two of them raw too
    assert bytes_of(paper / "data") == whole
    assert "prepared before" in run(paper, "--stop-stage", "0", *SETS)  # wherever the corpora are now
    assert bytes_of(paper / "data") == whole

    shutil.rmtree(paper / "data")
    first, second = paper / "data/corpora/iemocap/about.json", paper / "data/corpora/meld/about.json"
    command = [paper / "run.sh", *map(str, words)]
    killed = subprocess.Popen(command, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    while not second.exists():
        assert killed.poll() is None
        time.sleep(0.002)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert read_json(first)["whole"] and not (paper / "data/train").exists()
    before = first.stat().st_mtime_ns
    run(paper, *words)
    assert first.stat().st_mtime_ns == before and bytes_of(paper / "data") == whole
    # a corpus that has moved is another one
    shutil.move(db / "iemocap", db / "old")
    shutil.copytree(db / "old", db / "iemocap2")
    (paper.parents[1] / "local/site.sh").write_text(f"root_iemocap='{db}/iemocap2'\n")
    said = run(paper, *words)
    assert said.count("preparing it") == 1 and f"iemocap: preparing it from {db}/iemocap2, seven labels" in said
    assert "iemocap2" in read_table(paper / "data/train/wav.scp")["iemocap-Ses01F-Ses01F_impro01_F000"]


def test_corpora_that_are_not_there_or_wrong(paper, tmp_path):
    said = run(paper, "--stop-stage", "0", status=1)
    assert "no corpus is there; name their folders in local/site.sh (root_<recipe>=…), or give --db-root" in said
    said = run(paper, "--stop-stage", "0", "--db-root", tmp_path / "none", status=1)
    assert said.endswith(f"{tmp_path}/none: no such folder; give the one that holds the corpora with --db-root\n")
    said = run(paper, "--stop-stage", "0", "--train-corpora", "casia", "--test-corpora", "", status=1)
    assert "casia: no corpus to train on; see its roles in local/corpora.py" in said
    said = run(paper, "--stop-stage", "0", "--train-corpora", "iemocap", "--test-corpora", "iemocap", status=1)
    assert "iemocap: no corpus to test on" in said
    (tmp_path / "db/meld").mkdir(parents=True)
    said = run(paper, "--stop-stage", "0", "--db-root", tmp_path / "db", status=1)
    assert f"meld: {tmp_path}/db/meld: found no train_sent_emo.csv nor" in said
    emo_emilia.build(tmp_path / "tests/emo_emilia")
    said = run(paper, "--stop-stage", "0", "--db-root", tmp_path / "tests")
    assert "data/train: no corpus has it; only stage 5 with a ready encoder can be run" in said
    assert run(paper, "--stage", "3", "--stop-stage", "3", status=1).endswith("run stage 2 first\n")


HOSTILE = ("$(touch${IFS}x)`id`;x", "'a\"b\\c", "*?[a]", "-rf", "ü漢字", "a|b&c>d")


def test_joining_is_safe_with_any_ids(tmp_path, root):
    from c2ser.corpus import Utterance
    from c2ser.prep.writer import write_corpus

    wav = tmp_path / "w $(x) 'ü.wav"
    sound(wav)
    for part, names in (("one", HOSTILE[:3]), ("two", HOSTILE[3:])):
        given = [Utterance(part, n, m, wav, "fear", "en", "t $(y)", fold="1") for n in names for m in names]
        write_corpus(given, tmp_path)
    joined = join([Source(tmp_path / "one", "a"), Source(tmp_path / "two", "b")], tmp_path / "all")
    assert len(joined) == 18 and read_data_dir(tmp_path / "all").keys() == joined.keys()
    done = subprocess.run([root / "utils/validate_data_dir.sh", tmp_path / "all"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "all/utt2fold").exists() and not list(tmp_path.glob("x*"))
    kept = join([Source(tmp_path / "one"), Source(tmp_path / "two", fold="train")], tmp_path / "plain")
    assert {one.fold for one in kept.values()} == {"1", "train"}
    with pytest.raises(ValueError, match="one and in another part of .*all; give the parts prefixes"):
        join([Source(tmp_path / "one"), Source(tmp_path / "one")], tmp_path / "all")
    with pytest.raises(ValueError, match="every utterance was rejected"):
        join([Source(tmp_path / "one")], tmp_path / "none", max_seconds=0.01)
    (tmp_path / "one/text").unlink()
    mixed = join([Source(tmp_path / "one", "a"), Source(tmp_path / "two", "b")], tmp_path / "all")
    texts = read_table(tmp_path / "all/text")
    assert texts.keys() == mixed.keys() and {texts[i] for i in mixed if i.startswith("a-")} == {""}


# --- later stages, on imitations with sounds that have a pitch

SPOKEN = dict(zip(EMOTIONS, ("joy" if e == "happiness" else e for e in EMOTIONS), strict=True))
"""MELD's labels."""


def tone(path, kind, generator):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(16000 * (0.7 + 0.2 * generator.random()))) / 16000
    wave = sum(np.sin(2 * np.pi * (110 + 25 * kind) * k * time) / k for k in range(1, 9))
    soundfile.write(path, 0.02 * (1 + kind) * wave + 0.001 * generator.normal(size=len(time)), 16000)


def speak_meld(top, dialogues=(("train", 2), ("dev", 1), ("test", 1)), emotions=EMOTIONS):
    """MELD's layout: each emotion once in a dialogue."""
    folders = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    generator = np.random.default_rng(0)
    for part, number in dialogues:
        rows = [meld.HEAD]
        for d in range(number):
            for u, emotion in enumerate(emotions):
                rows.append(meld.row("What a day it was.", ("Joey", "Monica")[u % 2], SPOKEN[emotion], d, u))
                tone(top / folders[part] / f"dia{d}_utt{u}.wav", EMOTIONS.index(emotion), generator)
        text(top / f"{part}_sent_emo.csv", "".join(rows))


def speak_esd(top, speakers=("0001", "0009", "0010", "0011")):
    """ESD's layout: each emotion once by a speaker of each set."""
    generator = np.random.default_rng(1)
    for speaker in speakers:
        said = "打远一看，它们的确很是美丽。" if speaker < "0011" else "All day long."
        lines = []
        for block, folder in enumerate(("Neutral", "Angry", "Happy", "Sad", "Surprise")):
            name = f"{speaker}_{350 * block + 1:06d}"
            lines.append(f"{name}\t{said}\t{folder}\n")
            tone(top / speaker / folder / f"{name}.wav", block, generator)
        text(top / speaker / f"{speaker}.txt", "".join(lines))


def speak_emo_emilia(top, speakers=4):
    """Emo-Emilia's layout: each emotion once by a speaker."""
    generator, rows = np.random.default_rng(2), []
    for s in range(speakers):
        for u, emotion in enumerate(("angry", "happy", "neutral", "sad", "surprised", "disgusted", "fearful")):
            language, said = (("EN", " Nobody knew."), ("ZH", "没有人知道"))[s % 2]
            index = f"{language}_B00001_S{s:05d}_W{u:06d}"
            rows.append(json.dumps({"index": index, "emotion": emotion, "wav": "x", "text": said}) + "\n")
            tone(top / f"wav/{index}.wav", u, generator)
    text(top / "Emo-Emilia-ALL.jsonl", "".join(rows))


@pytest.mark.slow
def test_statistics_are_those_of_all_training_corpora(paper, tmp_path):
    speak_meld(tmp_path / "db/meld", emotions=EMOTIONS[:2])
    speak_esd(tmp_path / "db/esd", speakers=("0001", "0009"))
    words = ["--db-root", tmp_path / "db", "--train-corpora", "meld esd", "--test-corpora", "meld"]
    words += ["--nj", "1"]
    run(paper, *words, "--stop-stage", "2")
    attributes = read_table(paper / "data/train/utt2attr")
    assert {i.split("-")[0] for i in attributes} == {"meld", "esd"} and len(attributes) == 9
    pitch = [float(row.split()[0]) for row in attributes.values()]
    assert read_json(paper / "exp/attr_stats.json")["pitch"]["mean"] == pytest.approx(np.mean(pitch), rel=1e-4)
    assert len(read_table(paper / "data/meld_test/utt2level")) == 2
    before = (paper / "data/train/utt2attr").stat().st_mtime_ns
    said = run(paper, *words, "--stage", "1", "--stop-stage", "1")
    assert said.count("says that this is done") == 3
    assert (paper / "data/train/utt2attr").stat().st_mtime_ns == before
    table = read_table(paper / "data/meld_test/text")
    write_table(paper / "data/meld_test/text", {i: "Other words were said." for i in table})
    said = run(paper, *words, "--stage", "1", "--stop-stage", "1")
    assert said.count("says that this is done") == 2


RECORDER = """#!/usr/bin/env bash
printf '%s|' "$@" >> calls
printf '\\n' >> calls
"""


SHOWN = ("exp", "encoder", "init", "models", "cot", "train-set", "test-sets")

OF_STAGES = {"4": "encoder", "6": "explicit", "7": "implicit"}
"""The trainings; each stage has options and a configuration of its own, and does not look at those of others."""


def shown(words):
    """Return the options that tell trainings and tests apart; the last of equal ones counts."""
    given = {}
    while words:
        name, equals, value = words.pop(0).partition("=")
        given[name[2:]] = value if equals else words.pop(0)
    training = OF_STAGES.get(given["stage"])
    own = [f"{training}-options", f"{training}-config"] if training else []
    names = [name for name in SHOWN if name in given] + [name for name in own if given.get(name)]
    return " ".join(f"{name}={given[name]}" for name in ("stage", *names))


def test_what_the_stages_ask_of_the_shared_recipe(paper):
    """Which trainings and tests there are with which corpora; the end-to-end test makes some of them for real."""
    shared = paper.parents[1] / "local/c2ser.sh"
    shared.write_text(RECORDER)

    def calls(*words):
        (paper / "calls").unlink(missing_ok=True)
        shutil.rmtree(paper / "exp/done", ignore_errors=True)
        said = run(paper, "--stage", "4", "--stop-stage", "8", *words)
        return [shown(line.split("|")[:-1]) for line in (paper / "calls").read_text().splitlines()], said

    for name in ("train", "valid", "meld/train", "meld_test", "esd_test", "esd_raw", "emo_emilia_test"):
        write_table(paper / "data" / name / "wav.scp", {"meld-x-1": "a.wav", "esd-y-1": "b.wav"})
        write_table(paper / "data" / name / "utt2spk", {"meld-x-1": "meld-x", "esd-y-1": "esd-y"})
    for folder in ("exp/emotion2vec_s", "exp/emotion2vec_f", "ready"):
        write_table(paper / folder / "config.json", {"{}": ""})
    asked, said = calls("--encoder-options=--init x.pt")
    assert "no ablations" not in said and "no fine-tuning" not in said
    own = "exp=exp/without_{} "
    assert asked == [
        "stage=4 exp=exp encoder=emotion2vec_s encoder-options=--init x.pt ",
        "stage=4 exp=exp encoder=emotion2vec_f encoder-options=--init x.pt --losses.category 0",
        "stage=5 exp=exp/probe_esd train-set=esd_raw test-sets=",
        "stage=6 exp=exp",
        "stage=6 exp=exp/without_whisper explicit-options= --model.whisper null",
        "stage=6 exp=exp/without_emotion2vec explicit-options= --model.emotion2vec null",
        "stage=7 exp=exp",
        "stage=7 exp=exp/without_whisper",
        "stage=7 exp=exp/without_emotion2vec",
        "stage=7 exp=exp/without_cot cot=false",
        "stage=7 exp=exp/meld init=exp/implicit train-set=meld_train test-sets=meld_test",
        *(f"stage=8 exp=exp test-sets={name}_test" for name in ("meld", "esd", "emo_emilia")),
        *(
            f"stage=8 {own.format(part)}models=implicit test-sets=emo_emilia_test"
            for part in ("whisper", "emotion2vec", "cot")
        ),
        "stage=8 exp=exp/meld init=exp/implicit train-set=meld_train test-sets=meld_test",
    ]
    assert list(read_table(paper / "data/meld_train/wav.scp")) == ["meld-x-1"]
    (paper / "more.yaml").write_text("training: {seed: 1}\n")
    words = ["--explicit-options=--a 1", "--implicit-options=--b 2", "--explicit-config=more.yaml", "--perturb", "x"]
    asked, _ = calls(*words, "--implicit-config", "more.yaml", "--skip-stages", "4 5 8")
    assert asked == [
        "stage=6 exp=exp explicit-options=--a 1 explicit-config=more.yaml",
        "stage=6 exp=exp/without_whisper explicit-options=--a 1 --model.whisper null explicit-config=more.yaml",
        "stage=6 exp=exp/without_emotion2vec explicit-options=--a 1 --model.emotion2vec null explicit-config=more.yaml",
        "stage=7 exp=exp implicit-options=--b 2 implicit-config=more.yaml",
        "stage=7 exp=exp/without_whisper implicit-options=--b 2 implicit-config=more.yaml",
        "stage=7 exp=exp/without_emotion2vec implicit-options=--b 2 implicit-config=more.yaml",
        "stage=7 exp=exp/without_cot cot=false",
        "stage=7 exp=exp/meld init=exp/implicit train-set=meld_train test-sets=meld_test",
    ]
    assert "|--perturb=x|" in (paper / "calls").read_text()  # what the shared recipe has, too, is passed on
    asked, _ = calls(
        "--ablations", "false", "--finetuning", "false", "--emotion2vec-f", "false", "--emotion2vec", "ready"
    )
    assert [line.split()[0] for line in asked] == [f"stage={n}" for n in (5, 6, 7, 8, 8, 8)]
    shutil.rmtree(paper / "data/emo_emilia_test")
    shutil.rmtree(paper / "data/meld_test")
    asked, said = calls()
    assert "no ablations (Table VIII): emo_emilia is absent" in said and "no fine-tuning (Table IX): meld is" in said
    assert [line.split()[0] for line in asked] == [f"stage={n}" for n in (4, 4, 5, 6, 7, 8)]
    asked, _ = calls("--stage", "8", "--baselines", "qwen2_audio sensevoice")
    assert asked == ["stage=8 exp=exp test-sets=esd_test", *["stage=8 exp=exp models=none test-sets=esd_test"] * 2]
    shared.write_text(RECORDER + '[[ "$*" != *"--baselines qwen2_audio"* ]]\n')  # it fails for one of them
    with pytest.raises(AssertionError, match="--baselines: no answers of qwen2_audio on esd_test; see above"):
        calls("--stage", "8", "--baselines", "qwen2_audio sensevoice")
    assert (paper / "exp/done/answers_esd_test_sensevoice").exists()
    assert not (paper / "exp/done/answers_esd_test_qwen2_audio").exists()


SMALL = {
    "emotion2vec": {
        "model": {
            "dim": 32, "heads": 2, "inner": 48, "prenet_depth": 1, "depth": 1, "position_depth": 1,
            "position_kernel": 3, "position_groups": 4, "decoder_dim": 16, "decoder_layers": 1, "decoder_groups": 4,
            "convs": [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]],
        },
        "filter_bank": False,
        "teacher": {"front": False},
        "masks": {"clones": 2},
        "batches": {"seconds": 12.0, "utterances": 16, "crop_seconds": 2.0},
        "training": {"steps": 2, "valid_every": 2},
        "validation": {"train": 14, "valid": 7, "batches": 1, "neighbours": 1},
    },
    "tiny_models": {"whisper": {"dim": 16, "layers": 1, "heads": 2},
                    "llm": {"dim": 32, "layers": 1, "heads": 2, "vocabulary": 450}},
    "probe": {"probe": {"epochs": 2, "hidden": 8}},
    "decode": {"decode": {"max_new_tokens": 6}},
}  # fmt: skip
"""Configurations that take no time."""

TRAININGS = {
    "c2ser": {
        "model": {"trainable": ["connector", "lora"]},
        "batches": {"seconds": 30.0, "tokens": 8000, "utterances": 16},
        "training": {"steps": 2, "valid_every": 2},
        "validation": {"utterances": 7, "max_new_tokens": 4},
    },
    "model": {"model": {
        "connector": {"dim": 32, "layers": 1, "heads": 2, "feed_forward": 32},
        "lora": {"r": 2, "alpha": 4, "dropout": 0.0},
    }},
    "explicit": {"training": {"steps": 2}},
    "implicit": {"training": {"steps": 2, "valid_every": 2}},
}  # fmt: skip
"""What the recipe's own configurations change in those of the trainings."""


@pytest.mark.slow(seconds=300)
def test_from_corpora_to_the_papers_tables(paper, tmp_path):
    speak_meld(tmp_path / "db/meld")
    speak_esd(tmp_path / "db/esd", speakers=("0001", "0009"))
    for name, content in (SMALL | TRAININGS).items():
        (paper / f"conf/{name}.yaml").write_text(json.dumps(content))  # JSON is YAML
    words = ["--db-root", tmp_path / "db", "--nj", "1", "--train-corpora", "meld esd", "--test-corpora", "meld"]
    said = run(paper, *words)
    assert "no ablations (Table VIII): emo_emilia is absent" in said
    exp = paper / "exp"
    for encoder in ("probe", "probe_emotion2vec_f"):
        figures = read_json(exp / f"probe_meld/{encoder}/decode_cross-validation/scores.json")
        assert figures["utterances"] == 7 and list(figures["folds"]) == ["1"]
    folders = [exp / "explicit", exp / "implicit", *(exp / f"meld/finetune/epoch_{n}" for n in (0, 3, 6))]
    for folder in folders:
        assert set(read_table(folder / "decode_meld_test/utt2emo")) == set(read_table(paper / "data/meld_test/wav.scp"))
    page = (exp / "RESULTS.md").read_text("utf-8")
    assert "## Table IX" in page and (exp / "all_results.md").exists()
    answers = {path: path.read_bytes() for path in exp.rglob("answer")}
    assert len(answers) == 5
    said = run(paper, *words, "--stage", "4")
    assert said.count("says that this is done") == 10 and "stage 4" in said
    assert {path: path.read_bytes() for path in exp.rglob("answer")} == answers
