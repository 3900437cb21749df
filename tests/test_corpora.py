"""Stage 0 of every recipe: on imitations of the official layouts, on EmoBox's lists of files, and on real speech."""

import gzip
import importlib
import importlib.util
import json
import os
import subprocess
import tarfile
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from c2ser.prep import ALL, Utterance
from c2ser.prep.count_report import counts
from c2ser.prep.describe import limit
from c2ser.prep.layout import find_top
from c2ser.prep.prepare import write_data
from c2ser.prep.unpack import unpack
from c2ser.tables import read_table

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / "tests/fixtures").glob("*.py") if path.stem != "sound")
RECIPES = sorted({getattr(importlib.import_module(f"fixtures.{name}"), "RECIPE", name) for name in NAMES})


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Hundreds of small tables are written here; whether they survive a power cut is nothing that these tests see."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@cache
def recipe(name):
    spec = importlib.util.spec_from_file_location(f"data_prep_{name}", ROOT / f"egs/{name}/local/data_prep.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stage0(name, db_root, out, **options):
    module = recipe(name)
    return write_data(module.utterances, module.CORPUS, db_root, out, **options)


def tables(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_recipe_has_a_fixture():
    own = {"TEMPLATE", "mini", "c2ser", "free", "own"}  # no corpora
    recipes = {path.parent.name for path in (ROOT / "egs").glob("*/run.sh")} - own
    assert recipes == set(RECIPES)


@pytest.mark.parametrize("name", NAMES)
def test_an_imitation_gives_what_was_written_by_hand(name, tmp_path):
    fixture = importlib.import_module(f"fixtures.{name}")
    corpus, root = getattr(fixture, "RECIPE", name), tmp_path / "cor pus (ü)"
    fixture.build(root)
    written = stage0(corpus, root, tmp_path / "data")
    found = {part: read_table(tmp_path / "data" / part / "utt2emo") for part in written.sets}
    assert found == {part: rows for part, rows in fixture.UTTERANCES.items() if rows}
    rejected = {part: tmp_path / "data" / part / "rejected" for part in written.sets}
    reasons = {part: read_table(path) for part, path in rejected.items() if path.exists()}
    assert {part: set(rows) for part, rows in reasons.items()} == {
        part: set(rows) for part, rows in fixture.LEFT_OUT.items()
    }
    for part, rows in fixture.LEFT_OUT.items():
        for utterance, phrase in rows.items():
            assert phrase in reasons[part][utterance]
    for part, table, utterance, value in fixture.DETAILS:
        path = tmp_path / "data" / part / table
        assert (read_table(path).get(utterance) if path.exists() else None) == value, (part, table, utterance)
    before = tables(tmp_path / "data")
    stage0(corpus, find_top(root, recipe(corpus).CORPUS.layout), tmp_path / "data", nj=1)
    assert tables(tmp_path / "data") == before


@pytest.mark.parametrize("name", NAMES)
def test_raw_labels_of_an_imitation(name, tmp_path):
    fixture = importlib.import_module(f"fixtures.{name}")
    fixture.build(tmp_path / "corpus")
    stage0(getattr(fixture, "RECIPE", name), tmp_path / "corpus", tmp_path / "data", labels="raw", into="all")
    found = read_table(tmp_path / "data/all/utt2emo")
    seven = {utterance: emotion for rows in fixture.UTTERANCES.values() for utterance, emotion in rows.items()}
    assert found == seven | getattr(fixture, "RAW", {})
    command = [ROOT / "utils/validate_data_dir.sh", tmp_path / "data/all"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", sorted({getattr(importlib.import_module(f"fixtures.{n}"), "RECIPE", n) for n in NAMES})
)
def test_a_wrong_folder_is_told_what_was_looked_for(name, tmp_path):
    (tmp_path / "else").mkdir()
    with pytest.raises(ValueError, match="found no .* in it, nor up to 3 folders below; check --db-root") as caught:
        stage0(name, tmp_path, tmp_path / "data")
    assert recipe(name).CORPUS.layout[0] in str(caught.value)


@pytest.mark.parametrize("inner", ["", "bea_Amused/", "./"])
def test_archives_of_emovdb_do_not_overwrite_each_other(inner, tmp_path):
    """Speakers share the names of their files; whether an archive has a folder of its own does not matter."""
    from fixtures.sound import sound

    wanted = {"bea_Amused": "amused_1-15_0001", "bea_Angry": "anger_1-28_0001", "sam_Angry": "anger_1-28_0001"}
    for archive in recipe("emovdb").CORPUS.archives:
        folder = archive.name.removesuffix(".tar.gz")
        if folder in wanted:
            sound(tmp_path / f"{folder}.wav")
            with tarfile.open(tmp_path / archive.name, "w:gz") as file:
                prefix = inner.replace("bea_Amused", folder)
                file.add(tmp_path / f"{folder}.wav", f"{prefix}{wanted[folder]}.wav")
            unpack(tmp_path / archive.name, tmp_path / "db" / archive.folder, 10**6)
    stage0("emovdb", tmp_path / "db", tmp_path / "data", into="all")
    found = read_table(tmp_path / "data/all/utt2emo")
    assert found == {
        "bea-amused_amused_1-15_0001": "happiness",
        "bea-angry_anger_1-28_0001": "anger",
        "sam-angry_anger_1-28_0001": "anger",
    }


def test_nemo_takes_the_same_one_of_two_formats(tmp_path):
    from fixtures import nemo
    from fixtures.sound import sound

    nemo.build(tmp_path)
    lines = [f"SK4_anger_{n}.wav\tanger\tTak.\tx\tSK4\tfemale\t30\n" for n in range(20)]
    (tmp_path / "nEMO/data.tsv").write_text("file_id\temotion\traw_text\tx\tspeaker_id\tgender\tage\n" + "".join(lines))
    for n in range(20):
        for form in ("WAV", "FLAC")[:: 1 if n % 2 else -1]:
            sound(tmp_path / f"nEMO/samples/SK4_anger_{n}.{form.lower()}", form=form)
    stage0("nemo", tmp_path, tmp_path / "data")
    assert {path.rpartition(".")[2] for path in read_table(tmp_path / "data/train/wav.scp").values()} == {"wav"}


def test_a_part_of_esd_is_found_by_any_speaker(tmp_path):
    """Some copies hold one language, or lack a speaker; the counts say what is missing."""
    from fixtures.sound import sound

    for number, folder in (("000001", "Neutral"), ("000351", "Angry")):
        sound(tmp_path / f"ESD/0015/{folder}/0015_{number}.wav")
    (tmp_path / "ESD/0001/Angry").mkdir(parents=True)
    written = stage0("esd", tmp_path, tmp_path / "data")
    assert set(written.kept["train"]) == {"0015-000001", "0015-000351"}
    for path in (tmp_path / "ESD/0015").rglob("*.wav"):
        path.unlink()
    with pytest.raises(ValueError, match="found no 00"):
        stage0("esd", tmp_path, tmp_path / "data")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("- prompt: a\n  style: sad\n", "a sentence without start, end; take a newer version"),
        ("- prompt: [\n", "not YAML"),
    ],
)
def test_a_table_of_pavoque_that_cannot_be_used_is_named(table, message, tmp_path):
    """Older versions of the tables have no times."""
    from fixtures import pavoque

    pavoque.build(tmp_path)
    (tmp_path / "pavoque-data/pavoque-sad.yaml").write_text(table)
    with pytest.raises(ValueError, match=f"pavoque-sad.yaml: {message}"):
        stage0("pavoque", tmp_path, tmp_path / "data")


def test_meld_takes_mp4_before_wav(tmp_path):
    from fixtures import meld
    from test_prep import write_clip

    meld.build(tmp_path / "meld")
    clip = tmp_path / "meld/MELD.Raw/train/train_splits/dia0_utt0.mp4"
    import soundfile

    write_clip(clip)
    stage0("meld", tmp_path / "meld", tmp_path / "data")
    path = read_table(tmp_path / "data/train/wav.scp")["Chandler-train_dia0_utt0"]
    wave, rate = soundfile.read(path)
    assert path.endswith("audio/train/Chandler-train_dia0_utt0.wav") and rate == 16000
    assert abs(np.argmax(np.abs(np.fft.rfft(wave))) * rate / len(wave) - 700) < 5


EMOBOX = {
    "iemocap": 5, "esd": 5, "casia": 4, "emovo": 6, "ravdess": 6, "emodb": 5,
}  # fmt: skip
"""Recipes whose folds are EmoBox's, and how many there are."""

SPLIT = {"mesd": "mesd", "cremad": "cremad", "emovdb": "emovdb", "asvp_esd": "asvpesd"}
"""Recipes whose sets `test` are EmoBox's, and its names for them."""


def emobox(folder, path):
    plain = folder / path
    if plain.exists():
        return plain.read_text("utf-8")
    with gzip.open(f"{plain}.gz", "rt", encoding="utf-8") as file:
        return file.read()


def listed(folder, corpus):
    """Return (id, path below the download folder, label, seconds) of every utterance of a corpus in EmoBox."""
    if corpus == "esd":  # 35,000 files: the first and last of each emotion, and one between
        lines = emobox(folder, "esd/data.seg.audmap").splitlines()
        rows = [line.split() for number, line in enumerate(lines) if number % 350 in (0, 100, 349)]
        return [(row[0], row[4].split("/", 2)[2], row[4].split("/")[-2], float(row[3])) for row in rows]
    rows = map(json.loads, emobox(folder, f"{corpus}/{corpus}.jsonl").splitlines())
    return [(row["key"], row["wav"].split("/", 2)[2], row["emo"], row["length"]) for row in rows]


def folds_of(folder, corpus, number):
    parts = {
        str(n): json.loads(emobox(folder, f"{corpus}/fold_{n}/{corpus}_test_fold_{n}.json"))
        for n in range(1, number + 1)
    }
    return {key: fold for fold, part in parts.items() for key in part}


def imitated(root, corpus, rows):
    """Make a file without content at each path, and IEMOCAP's labels."""
    evaluations = defaultdict(list)
    for folder in {(root / path).parent for _, path, _, _ in rows}:
        folder.mkdir(parents=True)
    for _, path, label, _ in rows:
        (root / path).touch()
        if corpus == "iemocap":
            session, _, _, dialogue, name = path.split("/")
            evaluations[f"{session}/dialog/EmoEvaluation/{dialogue}.txt"].append(
                f"[1.0 - 2.0]\t{name.removesuffix('.wav')}\t{label}\t[2, 2, 2]"
            )
    for path, lines in evaluations.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("\n".join(lines))


def compared(name, corpus, folder, tmp_path):
    """Run a recipe's generator on the files that EmoBox lists; return its utterances by EmoBox's ids, and seconds."""
    rows = listed(folder, corpus)
    imitated(tmp_path, corpus, rows)
    top = find_top(tmp_path, recipe(name).CORPUS.layout)
    by_path = {tmp_path / path: key for key, path, _, _ in rows}
    found = {by_path[u.wav]: u for u in recipe(name).utterances(top)}
    assert len(found) == len(rows)
    return found, {key: seconds for key, _, _, seconds in rows}


def check_counts(module, found: dict[str, Utterance], seconds):
    """The counts that the recipe expects are those of EmoBox's lists."""
    labels, long = defaultdict(Counter), defaultdict(Counter)
    for key, utterance in found.items():
        labels[utterance.set][utterance.emotion] += 1
        if seconds[key] > 20:
            long[utterance.set][utterance.emotion] += 1
    expected = {name: {k: n for k, n in row.items() if k != ALL} for name, row in module.COUNTS.items()}
    assert expected == labels
    assert dict(getattr(module, "LONG", {})) == {name: row for name, row in long.items() if row}


@pytest.mark.parametrize("name", EMOBOX)
def test_folds_are_those_of_emobox(name, tmp_path, test_data):
    found, seconds = compared(name, name, test_data / "emobox", tmp_path)
    expected = folds_of(test_data / "emobox", name, EMOBOX[name])
    assert {key: u.fold for key, u in found.items()} == {key: expected[key] for key in seconds}
    if len(seconds) == len(expected):
        check_counts(recipe(name), found, seconds)


@pytest.mark.parametrize("name", SPLIT)
def test_test_sets_are_those_of_emobox(name, tmp_path, test_data):
    found, seconds = compared(name, SPLIT[name], test_data / "emobox", tmp_path)
    tested = {key for key, u in found.items() if u.set in ("test", "test_other")}
    assert tested == set(folds_of(test_data / "emobox", SPLIT[name], 1))
    module = recipe(name)
    assert len({u.id for u in found.values()}) == len(found)
    if name == "emovdb":  # EmoBox lost six files of its training set
        sizes = Counter(u.set for u in found.values()) + Counter({"train": 5, "valid": 1})
        assert sizes == {part: sum(row.values()) for part, row in module.COUNTS.items()}
    elif name == "cremad":
        silent = [u.id for u in found.values() if u.reject_reason]
        assert silent == [module.SILENT]
        check_counts(module, {key: u for key, u in found.items() if not u.reject_reason}, seconds)
    else:
        check_counts(module, found, seconds)


def test_drawn_splits_follow_emobox_rule(test_data):
    """The test lists that recipes ship are what the published rule draws from EmoBox's own order."""
    import random

    for name, corpus in SPLIT.items():
        rows = listed(test_data / "emobox", corpus)
        by_label = defaultdict(list)
        for key, _, label, _ in rows:
            by_label[label].append(key)
        random.seed(0)
        drawn = {key for keys in by_label.values() for key in random.sample(keys, int(len(keys) * 0.25))}
        assert drawn == set(folds_of(test_data / "emobox", corpus, 1)), name
        assert len(drawn) == len(read_table(ROOT / f"egs/{name}/local/emobox_test"))


@pytest.mark.parametrize(("name", "parts"), [("meld", ("train", "dev", "test")), ("m3ed", ("train", "valid", "test"))])
def test_official_sets_have_the_counts_of_emobox(name, parts, test_data):
    folder, module = test_data / "emobox", recipe(name)
    for ours, part in zip(("train", "valid", "test"), parts, strict=True):
        if name == "meld":
            rows = [(label, length) for key, _, label, length in listed(folder, "meld") if key.endswith(part)]
        else:
            content = json.loads(emobox(folder, f"m3ed/fold_1/m3ed_{part}_fold_1.json"))
            rows = [(row["emo"], row["length"]) for row in content.values()]
        known = {label: number for label, number in module.COUNTS[ours].items() if label != ALL}
        assert known == Counter(label for label, _ in rows)
        long = Counter(label for label, length in rows if length > 20)
        assert long == getattr(module, "LONG", {}).get(ours, {})


def test_totals_are_those_of_the_documents():
    totals = {
        "iemocap": 10039, "meld": 9989 + 1109 + 2610, "msp_podcast": 149307, "biic_podcast": 70000, "esd": 35000,
        "mer2024": 5030, "casia": 1200, "m3ed": 24449, "emovdb": 6893, "asvp_esd": 13964, "emovo": 588, "mesd": 862,
        "emo_emilia": 1400, "cremad": 7442, "ravdess": 1440, "emodb": 535, "nemo": 4481, "savee": 480, "subesco": 7000,
        "cafe": 936, "shemo": 3000, "urdu": 400, "jlcorpus": 2400, "aesdd": 605, "polish": 450, "oreau": 434,
        "ased": 2474, "turev": 1735, "enterface": 1293, "emozionalmente": 6902, "mead": 31729, "emns": 1181,
        "mer2023": 5030, "resd": 1396, "pavoque": 7334,
    }  # fmt: skip
    for name, total in totals.items():
        assert sum(sum(row.values()) for row in recipe(name).COUNTS.values()) == total, name
    assert sum(recipe("tess").COUNTS[ALL].values()) == 2800
    kept = recipe("iemocap").CORPUS.expected("seven", "train")["train"]
    assert sum(kept.values()) - kept[ALL] == 5515
    kept = recipe("meld").CORPUS.expected("seven")["train"]
    assert sum(kept.values()) - kept[ALL] == 9981
    for name, total in {"tess": 2800, "mer2024": 5030, **totals}.items():
        assert recipe(name).CORPUS.expected("raw", "all")["all"][ALL] == total, name
    kept = recipe("emovdb").CORPUS.expected("seven", "test")["test"]
    assert sum(kept.values()) - kept[ALL] == 5172
    assert limit("train_other", "seven") == 20.0 and limit("test", "seven") is None


def test_folds_of_emo_emilia_share_no_speaker_and_are_even():
    generator, emotions = np.random.default_rng(0), list(recipe("emo_emilia").EMOTIONS)
    given = {}
    for language in ("EN", "ZH"):
        speakers = [f"{language}_B{n // 10:05d}_S{n:05d}" for n in range(600)]
        for emotion in emotions:
            for _ in range(100):
                speaker = speakers[min(int(generator.exponential(150)), 599)]
                given[f"{speaker}_W{len(given):06d}"] = emotion
    chosen = recipe("emo_emilia").folds(given)
    assert chosen == recipe("emo_emilia").folds(dict(reversed(given.items())))
    sizes = Counter((chosen[index], index[:2], emotion) for index, emotion in given.items())
    assert len(sizes) == 70 and 18 <= min(sizes.values()) and max(sizes.values()) <= 22
    of_speaker = defaultdict(set)
    for index, fold in chosen.items():
        of_speaker[index.partition("_W")[0]].add(fold)
    assert max(map(len, of_speaker.values())) == 1


@pytest.mark.parametrize(
    ("name", "folder", "total"),
    [("emodb", "emodb", 339), ("ravdess", "ravdess", 52), ("ravdess", "ravdess_16k", 1248), ("nemo", "nemo_16k", 4481)],
)
def test_real_speech(name, folder, total, tmp_path, test_data):
    written = stage0(name, test_data / "speech" / folder, tmp_path / "data", into="all")
    assert len(written.kept["all"]) == total
    if total > 1000:
        expected = recipe(name).CORPUS.expected("seven", "all")
        assert counts(written) == expected


def test_ravdess_stereo_files_are_read_by_their_first_channel(tmp_path, test_data):
    stage0("ravdess", test_data / "speech/ravdess", tmp_path / "data", labels="raw")
    channels = read_table(tmp_path / "data/test/utt2channel")
    assert len(channels) == 60 and set(channels.values()) == {"0"}
