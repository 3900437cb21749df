"""The shell tools: options, stages, data directories."""

import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

UTILS = Path(__file__).parent.parent / "utils"

SCRIPT = """#!/usr/bin/env bash
# Say what the options are.
#     it.sh [options]
set -euo pipefail
number=3          # how many
set_name="a b"    # which set
kind=full         # full|tiny: what size
empty=            # may be empty
stage=0           # first stage
stop_stage=2      # last stage
hidden=secret
. {utils}/parse_options.sh
. {utils}/stage.sh
printf '<%s>' "$number" "$set_name" "$kind" "$empty" "$hidden" "$@"
if stage 0 "data: describe"; then echo zero; fi
if stage 1 "attributes: measure things"; then need file 0; echo one; fi
if stage 2 "levels: cut"; then echo two; fi
finish
"""


def run(*words, cwd=None, **more):
    words, environment = [str(word) for word in words], os.environ | {"LC_ALL": "C.UTF-8"} | more
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "it s.sh"
    path.write_text(SCRIPT.format(utils=UTILS))
    path.chmod(0o755)
    return lambda *words, skip="": run(path, *words, cwd=tmp_path, skip_stages=skip)


def test_defaults_and_values(script):
    assert script("--stop-stage", "-1").stdout == "<3><a b><full><><secret>"
    words = ["--number", "12", "--set-name=$(touch x) 'q' \"d\"", "--empty", "`id`", "--kind", "tiny", "--stage=9"]
    done = script(*words, "rest", "--x")
    assert done.stdout == "<12><$(touch x) 'q' \"d\"><tiny><`id`><secret><rest><--x>"
    assert script("--number", "1", "--number", "2", "--stage", "9", "--", "--number").stdout.startswith("<2>")
    assert script("--set_name", "", "--stage", "9").stdout.startswith("<3><>")


def test_numbers_are_decimal(script):
    assert [script("--number", n, "--stage", "9").stdout[:5] for n in ("08", "-09", "0", "-00")] == [
        "<8><a", "<-9><", "<0><a", "<0><a"]  # fmt: skip


LAUNCHER = """set -euo pipefail
. {utils}/stage.sh
read_launcher "$1"
printf '<%s>' "${{launcher[@]}}"
"""


def test_launchers_are_found_beside_the_tools_or_refused(tmp_path):
    tools = tmp_path / "a b/it's $(touch bad)"
    tools.mkdir(parents=True)
    for name in ("stage.sh", "run.py"):
        (tools / name).symlink_to(UTILS / name)
    (tools / "plain").touch()
    code = LAUNCHER.format(utils=shlex.quote(str(tools)))

    def launcher(command):
        return run("bash", "-c", code, "it", command, cwd=tmp_path)

    assert launcher("run.py --gpu 1\n --mem 4G").stdout == f"<{tools}/run.py><--gpu><1><--mem><4G>"
    assert launcher(f"{UTILS}/run.py").stdout == f"<{UTILS}/run.py>" and launcher("true -x").stdout == "<true><-x>"
    for command, said in (
        ("", "no name"),
        ("rum.py", "rum.py: no such"),
        ("plain", "plain: no such"),
        (str(tools), "a: no"),
    ):
        done = launcher(command)
        assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nunber", "3"], "--nunber: no such option"),
        (["--hidden", "3"], "--hidden: no such option"),
        (["--number"], "--number: a value is missing"),
        (["--number", "--kind", "tiny"], "--number: a value is missing"),
        (["--number", "three"], "--number: 'three' is not a whole number"),
        (["--number", "1;ls"], "--number: '1;ls' is not a whole number"),
        (["--number="], "--number: '' is not a whole number"),
        (["--kind", "huge"], "--kind: 'huge' is none of full|tiny"),
        (["-n", "3"], "-n: no such option"),
        (["--a[$(touch x)]", "3"], "no such option"),
        (["--=3"], "no such option"),
    ],
)
def test_bad_options_are_one_line_and_status_2(script, tmp_path, words, said):
    done = script(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr and done.stderr.endswith("see --help\n")
    assert not (tmp_path / "x").exists()


def test_help_comes_from_the_script(script):
    shown = script("--number", "7", "--help").stdout
    assert shown.startswith("Say what the options are.\n    it.sh [options]\n")
    assert "   1  attributes   measure things\n" in shown
    assert "  --number            how many (7)\n" in shown
    assert "  --kind              full|tiny: what size (full)\n" in shown
    assert "--set-name" in shown and "hidden" not in shown


OPTIONS = """# The options of two scripts, read before parse_options.sh.
option_files=("${{BASH_SOURCE[0]}}")
far=1       # how far
near="x|y"  # may be anything
declare -A replaced_options=([old]="give --far or --near")
"""

SHARING = """#!/usr/bin/env bash
# Say which options are to be passed on.
set -euo pipefail
own=2  # of this script alone
. {folder}/options.sh
. {utils}/parse_options.sh
printf '<%s>' "$own" "$far" "$near" - "${{shared_options[@]}}"
"""


def test_shared_options_are_declared_once_and_passed_on(tmp_path):
    folder = tmp_path / "fol der"
    folder.mkdir()
    (folder / "options.sh").write_text(OPTIONS.format())
    (folder / "it.sh").write_text(SHARING.format(folder=shlex.quote(str(folder)), utils=UTILS))

    def call(*words, **more):
        return run("bash", folder / "it.sh", *words, **more)

    assert call().stdout == "<2><1><x|y><->"
    words = ("--near", "$(touch x) 'q'", "--own", "3", "--far=08", "--near", "")
    assert call(*words).stdout == "<3><8><><-><--near=$(touch x) 'q'><--far=8><--near=>"
    shown = call("--help").stdout
    assert "  --own               of this script alone (2)\n  --far               how far (1)\n" in shown
    for words, said in (
        (["--far", "x"], "it.sh: --far: 'x' is not a whole number; see --help\n"),
        (["--old", "x"], "it.sh: --old: no such option; give --far or --near; see --help\n"),
        (["--a[$(touch x)]", "3"], "it.sh: --a[$(touch x)]: no such option; see --help\n"),
    ):
        assert call(*words).stderr == said and call(*words).returncode == 2
    assert call(option_files="/none", replaced_options="x").stdout == "<2><1><x|y><->"
    assert not (tmp_path / "x").exists() and not Path("x").exists()


def test_stages_run_exactly_as_asked(script, tmp_path):
    assert script("--stop-stage", "0").stdout.endswith("zero\n")
    done = script("--stage", "1")
    assert done.returncode == 1 and done.stderr.endswith("it s.sh: file is missing or empty; run stage 0 first\n")
    (tmp_path / "file").write_text("x")
    assert script("--stage", "1", "--stop-stage", "1").stdout.endswith(">one\n")
    assert script("--stage", "1", "--stop-stage", "1", skip="1 2").stderr.endswith("done in 0 min 0 s\n")
    done = script("--stage", "5", "--stop-stage", "7")
    assert done.returncode == 2 and "no stage from 5 to 7" in done.stderr


def test_the_marks_of_a_stage_stay_until_it_has_ended_well(tmp_path):
    marks = f". {UTILS}/stage.sh\nstage_marks='m k'"
    text = (
        SCRIPT.format(utils=UTILS)
        .replace(f". {UTILS}/stage.sh", marks)
        .replace("need file", 'run_once "$marks/a b" x -- echo first; need file')
    )
    (tmp_path / "it.sh").write_text(text.replace("echo one", "ls 'm k'").replace("echo two", "ls 'm k'; echo two"))
    done = run("bash", tmp_path / "it.sh", cwd=tmp_path)  # stage 1 lacks a file
    assert done.returncode == 1 and done.stdout.endswith(">zero\nfirst\n")
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("a b")] == ["m k/it.sh.1.marks/a b"]
    (tmp_path / "file").write_text("x")
    done = run("bash", tmp_path / "it.sh", "--stage", "1", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.endswith(">it.sh.1.marks\ntwo\n")
    assert list((tmp_path / "m k").iterdir()) == []
    assert run("bash", tmp_path / "it.sh", "--stage", "1", cwd=tmp_path).stdout.endswith(">first\nit.sh.1.marks\ntwo\n")


ONCE = """set -euo pipefail
. {utils}/stage.sh
run_once "done/a b" "in put" models "$1" -- {command}
"""


def test_what_has_ended_well_is_done_once(tmp_path):
    def times():
        return (tmp_path / "ran").read_text().count("x") if (tmp_path / "ran").exists() else 0

    def work(word="w", command="bash -c 'printf x >> ran; cat \"in put\"'"):
        return run("bash", "-c", ONCE.format(utils=UTILS, command=command), "once", word, cwd=tmp_path)

    assert work().returncode == 1 and times() == 1 and not (tmp_path / "done/a b").exists()  # the input is missing
    (tmp_path / "in put").write_text("1")
    (tmp_path / "models").mkdir()
    assert work().stdout == "1" and times() == 2
    assert "done/a b says that this is done" in work().stderr and times() == 2
    (tmp_path / "in put").write_text("2")
    assert work().stdout == "2" and times() == 3
    (tmp_path / "store").mkdir()
    (tmp_path / "store/blob").write_text("new")
    (tmp_path / "models").rmdir()
    (tmp_path / "models").symlink_to("store")  # as hubs keep models
    (tmp_path / "store/weights").symlink_to("blob")
    work()
    assert times() == 4
    (tmp_path / "store/blob").write_text("newer")
    work()
    assert times() == 5
    work("other word")
    assert times() == 6 and "says that" in work("other word").stderr
    (tmp_path / "in put").write_text("3")
    assert work("other word", "false").returncode == 1
    assert work("other word").stdout == "3"  # a command that failed has left no mark
    (tmp_path / "in put").write_text("4")
    assert work("other word", "false").returncode == 1
    (tmp_path / "in put").write_text("3")
    assert work("other word").stdout == "3"  # nor does the mark of before count any more


JUDGED = """set -euo pipefail
. {root}/utils/stage.sh && . {root}/local/functions.sh && . {root}/local/scoring.sh
read_configs() {{ configs=(--config judge.yaml); }}
on_gpu() {{ ls "$folder" && touch "$folder/said.partial" && printf '<%s>' "$@"; }}
judge=local transcript_option=() folder='ex p' marks='m k' && judge_set "$folder" said --model "$1" --seed "$2"
"""


def test_what_a_killed_run_left_is_gone_on_with_if_all_is_as_it_was(tmp_path):
    for name in ("mod el/weights", "ex p/answer"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")

    def goes_on(model, seed):
        done = run("bash", "-c", JUDGED.format(root=UTILS.parent), "it", model, seed, cwd=tmp_path)
        words = (
            "c2ser.bin.extract_labels><--answers><ex p/answer><--out><ex p/said><--config><judge.yaml><--reader><local>"
        )
        call = f"<ex p/said.log><python><-m><{words}<--model><{model}><--seed><{seed}>"
        assert done.stdout.endswith(call), done.stderr
        return "said.partial" in done.stdout

    assert not goes_on("mod el", "1") and goes_on("mod el", "1")
    (tmp_path / "mod el/weights").write_text("trained anew")
    assert not goes_on("mod el", "1") and not goes_on("mod el", "2") and not goes_on("hub/id", "2")
    (tmp_path / "ex p/answer").write_text("y")
    assert not goes_on("hub/id", "2") and goes_on("hub/id", "2")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "da ta"
    folder.mkdir()
    rows = []
    for speaker in ("s1", "s2"):
        for name in "abc":
            path = folder / f"{speaker} {name}.wav"
            soundfile.write(path, np.zeros(800), 16000)
            rows.append((f"{speaker}-{name}", path, speaker))
    write(folder / "wav.scp", [f"{i} {path}" for i, path, _ in rows])
    write(folder / "utt2spk", [f"{i} {speaker}" for i, _, speaker in rows])
    write(folder / "utt2emo", [f"{i} anger" for i, _, _ in rows])
    write(folder / "text", [f"{i} Müller sagt 'nein'." for i, _, _ in rows])
    write(folder / "utt2dur", [f"{i} 0.{50 - n}" for n, (i, _, _) in enumerate(rows)])
    write(folder / "spk2utt", ["s1 s1-a s1-b s1-c", "s2 s2-a s2-b s2-c"])
    return folder


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def lines(path):
    return path.read_text("utf-8").splitlines()


def validate(folder, *options):
    return run(UTILS / "validate_data_dir.sh", *options, folder)


def test_a_good_directory_passes(data):
    done = validate(data)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{data}: 6 utterances of 2 speakers, no defect\n"


def change(name, function):
    def apply(data):
        content = (data / name).read_bytes()
        (data / name).write_bytes(function(content))

    return apply


DEFECTS = {
    "unsorted": (change("text", lambda b: b.replace(b"s1-a", b"s9-a")), "text is not sorted"),
    "doubled": (change("utt2emo", lambda b: b"s1-a fear\n" + b), "second line for one id in line 2 (s1-a)"),
    "stranger": (change("utt2emo", lambda b: b + b"s3-a fear\n"), "utt2emo: 1 utterances, such as s3-a, are not"),
    "missing": (change("utt2emo", lambda b: b.replace(b"s1-b anger\n", b"")), "utt2emo lacks 1 utterances"),
    "carriage return": (change("text", lambda b: b.replace(b"\n", b"\r\n")), "text has carriage returns"),
    "mark": (change("text", lambda b: b"\xef\xbb\xbf" + b), "byte order mark"),
    "blank": (change("text", lambda b: b + b"\n"), "blank line, tab or blank at an edge in line 7"),
    "latin": (change("text", lambda b: b.replace("ü".encode(), b"\xfc")), "text is not UTF-8"),
    "utf-16": (change("text", lambda b: b.decode().encode("utf-16")), "text is not UTF-8"),
    "pipe": (change("wav.scp", lambda b: b.replace(b"a.wav", b"a.wav |", 1)), "wav.scp: a pipe in line 1 (s1-a)"),
    "no audio": (change("wav.scp", lambda b: b.replace(b"b.wav", b"x.wav")), "2 audio files are not there"),
    "speaker": (change("utt2spk", lambda b: b.replace(b"s2-c s2", b"s2-c s1")), "the speaker is not the beginning"),
    "spk2utt": (change("spk2utt", lambda b: b.replace(b" s1-c", b"")), "spk2utt does not say what utt2spk says"),
    "duration": (change("utt2dur", lambda b: b.replace(b" 0.49", b" -1")), "not a positive number of seconds"),
    "no end": (change("text", lambda b: b[:-1]), "text ends without a line break"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_has_reason_and_remedy(data, name):
    harm, said = DEFECTS[name]
    harm(data)
    done = validate(data)
    assert done.returncode == 1 and "warning:" not in done.stderr
    assert any(said in line and "; " in line.split(said)[1] + ";" for line in done.stderr.splitlines()), done.stderr


FIXABLE = ["unsorted", "doubled", "stranger", "carriage return", "mark", "blank", "no audio", "spk2utt"]


@pytest.mark.parametrize("name", FIXABLE)
def test_what_can_be_fixed_is_fixed(data, name):
    DEFECTS[name][0](data)
    done = run(UTILS / "fix_data_dir.sh", data)
    assert done.returncode == 0, done.stderr
    left = [line for line in validate(data).stderr.splitlines() if " lacks " not in line and "defects" not in line]
    assert left == []
    assert len(lines(data / "wav.scp")) == (4 if name == "no audio" else 6)
    assert (data / ".backup" / "text").exists()


def test_a_table_of_other_utterances_is_removed_and_not_left_empty(data):
    write(data / "utt2attr", ["s8-a 1 2 3", "s9-a 1 2 3"])
    done = run(UTILS / "fix_data_dir.sh", data)
    assert done.returncode == 0 and "utt2attr: none of its utterances is left, so it was removed; run" in done.stderr
    assert not (data / "utt2attr").exists() and validate(data).returncode == 0


def test_missing_directory_and_audio_check_off(data, tmp_path):
    assert "no such folder; run stage 0" in validate(tmp_path / "none").stderr
    (data / "s1 a.wav").unlink()
    assert validate(data).returncode == 1
    assert validate(data, "--no-wav", "true").returncode == 0


def test_subsets(data, tmp_path):
    subset = UTILS / "subset_data_dir.sh"
    cases = {
        ("--how", "first", data, "2"): ["s1-a", "s1-b"],
        ("--how", "last", data, "2"): ["s2-b", "s2-c"],
        ("--how", "shortest", data, "2"): ["s2-b", "s2-c"],
        ("--how", "per_speaker", data, "1"): ["s1-a", "s2-a"],
        (data, "3"): ["s1-b", "s2-a", "s2-c"],
    }
    for number, (words, expected) in enumerate(cases.items()):
        out = tmp_path / f"sub {number}"
        assert run(subset, *words, out).returncode == 0
        assert [line.split()[0] for line in lines(out / "wav.scp")] == expected
        assert validate(out).returncode == 0
    write(tmp_path / "list", ["s2"])
    assert run(subset, "--spk-list", tmp_path / "list", data, tmp_path / "s2").returncode == 0
    assert lines(tmp_path / "s2" / "spk2utt") == ["s2 s2-a s2-b s2-c"]
    write(tmp_path / "list", ["s1-c"])
    assert run(subset, "--utt-list", tmp_path / "list", data, tmp_path / "c").returncode == 0
    assert lines(tmp_path / "c" / "text") == ["s1-c Müller sagt 'nein'."]
    assert "not 7; ask for fewer" in run(subset, data, "7", tmp_path / "x").stderr
    assert run(subset, data, "many", tmp_path / "x").returncode == 2
    assert "list2: no such file" in run(subset, "--utt-list", tmp_path / "list2", data, tmp_path / "x").stderr
    assert run(subset, "--utt-list", "x", "--spk-list", "y", data, tmp_path / "x").returncode == 2
    assert run(subset, data, "2", tmp_path / "c").returncode == 0 and len(lines(tmp_path / "c/text")) == 2
    for how, table in (("shortest", "utt2dur"), ("per_speaker", "utt2spk")):
        (data / table).unlink()
        done = run(subset, "--how", how, data, "2", tmp_path / "x")
        assert done.returncode == 1 and f"{table} is missing or empty" in done.stderr and not (tmp_path / "x").exists()
    assert run(subset, data, "3", tmp_path / "c").returncode == 0
    assert not (tmp_path / "c/utt2dur").exists()  # it was of other utterances


@pytest.mark.parametrize("parts", [1, 2, 4, 6])
def test_parts_are_subsets_in_order_and_together_the_whole(data, tmp_path, parts):
    (data / "text").write_text((data / "text").read_text("utf-8") + "s3-a nobody\n", "utf-8")
    (data / "utt2fold").write_text("s2-c 1\n")
    out = tmp_path / "p arts"
    assert run(UTILS / "split_data.sh", data, str(parts), out).returncode == 0
    names = [line.split()[0] for line in lines(data / "wav.scp")]
    own = [[line.split()[0] for line in lines(out / str(n) / "data/wav.scp")] for n in range(1, parts + 1)]
    assert sum(own, []) == names and {len(part) for part in own} <= {6 // parts, 6 // parts + 1}
    for number, part in enumerate(own, start=1):
        write(tmp_path / "list", part)
        subset = tmp_path / f"sub {number}"
        assert run(UTILS / "subset_data_dir.sh", "--utt-list", tmp_path / "list", data, subset).returncode == 0
        made = {path.name: path.read_bytes() for path in (out / str(number) / "data").iterdir()}
        assert made == {path.name: path.read_bytes() for path in subset.iterdir()}
    assert sorted(path.name for path in out.iterdir()) == sorted(str(n) for n in range(1, parts + 1))


def test_combining_gives_the_whole_back(data, tmp_path):
    subset, combine = UTILS / "subset_data_dir.sh", UTILS / "combine_data.sh"
    run(subset, "--how", "first", data, "4", tmp_path / "one")
    run(subset, "--how", "last", data, "2", tmp_path / "two")
    assert run(combine, tmp_path / "all", tmp_path / "two", tmp_path / "one").returncode == 0
    for name in ("wav.scp", "text", "spk2utt", "utt2spk", "utt2dur"):
        assert lines(tmp_path / "all" / name) == lines(data / name)
    done = run(combine, tmp_path / "x", data, tmp_path / "one")
    assert done.returncode == 1 and "s1-a: in more than one of the sources" in done.stderr
    (tmp_path / "two" / "text").unlink()
    done = run(combine, tmp_path / "some", tmp_path / "two", tmp_path / "one")
    assert "text is left out" in done.stderr and not (tmp_path / "some" / "text").exists()
    write(tmp_path / "some/utt2lang", ["s9-z en"])
    assert run(combine, tmp_path / "some", tmp_path / "two", tmp_path / "one").returncode == 0
    assert not (tmp_path / "some/utt2lang").exists()
    (tmp_path / "two/utt2spk").unlink()
    assert run(combine, tmp_path / "some", tmp_path / "two", tmp_path / "one").returncode == 0
    assert not (tmp_path / "some/utt2spk").exists() and not (tmp_path / "some/spk2utt").exists()


def test_a_copy_under_other_ids_can_be_joined_with_the_original(data, tmp_path):
    write(data / "text", [f"{line.split()[0]} s1-a  two  blanks" for line in lines(data / "wav.scp")])
    copy, combine = UTILS / "copy_data_dir.sh", UTILS / "combine_data.sh"
    assert run(copy, "--utt-suffix=-speed0.9", data, tmp_path / "copy").returncode == 0
    for name in ("wav.scp", "text", "utt2spk", "utt2dur"):
        rows = [line.partition(" ") for line in lines(data / name)]
        assert lines(tmp_path / "copy" / name) == [f"{i}-speed0.9 {value}" for i, _, value in rows]
    assert run(UTILS / "validate_data_dir.sh", tmp_path / "copy").returncode == 0
    assert run(combine, tmp_path / "both", data, tmp_path / "copy").returncode == 0
    assert len(lines(tmp_path / "both/wav.scp")) == 2 * len(lines(data / "wav.scp"))
    assert [line.split()[0] for line in lines(tmp_path / "both/spk2utt")] == [
        line.split()[0] for line in lines(data / "spk2utt")
    ]
    for options, message in ((["--utt-suffix=a b"], "has a blank"), ([], "is the source")):
        assert message in run(copy, *options, data, data).stderr


def test_many_utterances_in_two_sources_are_named_too(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "wav.scp", [f"u{n:06} {name}.wav" for n in range(100000)])
    done = run(UTILS / "combine_data.sh", tmp_path / "x", tmp_path / "one", tmp_path / "two")
    assert done.returncode == 1 and "u000000: in more than one of the sources" in done.stderr


def test_speakers_lists(data):
    done = run(UTILS / "utt2spk_to_spk2utt.sh", data / "utt2spk")
    assert done.stdout.splitlines() == lines(data / "spk2utt")
    write(data / "utt2spk", ["000-a 000", "007-a 007", "7-a 7"])
    done = run(UTILS / "utt2spk_to_spk2utt.sh", data / "utt2spk")
    assert done.stdout.splitlines() == ["000 000-a", "007 007-a", "7 7-a"]


LIKE_NUMBERS = [
    "0",
    "00",
    "000",
    "01",
    "1",
    "1.0",
    "10",
    "1_0",
    "1e1",
    "0x1",
    "NaN",
    "inf",
    "null",
    "no",
    "true",
    "+1",
    "-1",
]
"""Speakers that are equal, or nothing, where something takes them for numbers or for words of YAML."""


def test_ids_that_look_like_numbers_stay_texts(tmp_path):
    speakers = sorted((f"{name}-" for name in LIKE_NUMBERS), key=str.encode)
    folder = tmp_path / "data"
    folder.mkdir()
    soundfile.write(tmp_path / "x.wav", np.zeros(10), 16000)
    ids = sorted((f"{speaker}{n}" for speaker in speakers for n in ("0", "00", "01", "1", "1e0")), key=str.encode)
    write(folder / "wav.scp", [f"{i} {tmp_path}/x.wav" for i in ids])
    write(folder / "utt2spk", [f"{i} {i[: i.rindex('-') + 1]}" for i in ids])
    write(folder / "utt2emo", [f"{i} null" for i in ids])
    assert run(UTILS / "fix_data_dir.sh", folder).returncode == 0
    spk2utt = {line.split()[0]: line.split()[1:] for line in lines(folder / "spk2utt")}
    assert spk2utt == {speaker: [i for i in ids if i.rpartition("-")[0] + "-" == speaker] for speaker in speakers}
    done = run(UTILS / "validate_data_dir.sh", folder)
    assert done.returncode == 0, done.stderr
    assert f"{len(ids)} utterances of {len(speakers)} speakers" in done.stdout
    assert run(UTILS / "split_data.sh", folder, "7", tmp_path / "parts").returncode == 0
    parts = [tmp_path / f"parts/{n}/data" for n in range(1, 8)]
    assert run(UTILS / "combine_data.sh", tmp_path / "again", *parts).returncode == 0
    for name in ("wav.scp", "utt2spk", "utt2emo", "spk2utt"):
        assert lines(tmp_path / "again" / name) == lines(folder / name)
    write(tmp_path / "list", ["01-", "1e1-"])
    assert run(UTILS / "subset_data_dir.sh", "--spk-list", tmp_path / "list", folder, tmp_path / "sub").returncode == 0
    assert lines(tmp_path / "sub/spk2utt") == [" ".join([s, *spk2utt[s]]) for s in ("01-", "1e1-")]
    write(folder / "utt2lang", [f"{ids[0]} en"])
    lacking = run(UTILS / "validate_data_dir.sh", folder)
    assert f"utt2lang lacks {len(ids) - 1} utterances, such as {ids[1]};" in lacking.stderr


@pytest.mark.parametrize("speakers", [["0", "00", "01", "1"], ["0"], ["1", "1.0", "1e0"]])
def test_speakers_lists_of_numbers(tmp_path, speakers):
    write(tmp_path / "utt2spk", [f"{speaker}-a {speaker}" for speaker in sorted(speakers)])
    done = run(UTILS / "utt2spk_to_spk2utt.sh", tmp_path / "utt2spk")
    assert done.stdout.splitlines() == [f"{speaker} {speaker}-a" for speaker in sorted(speakers)]


@pytest.mark.parametrize("script_path", sorted(UTILS.glob("*_*.sh")), ids=lambda path: path.name)
def test_every_tool_has_help_and_refuses_unknown_options(script_path):
    if not os.access(script_path, os.X_OK):
        pytest.skip("is sourced, not run")
    done = run(script_path, "--help")
    assert done.returncode == 0 and script_path.name in done.stdout
    done = run(script_path, "--bogus", "1")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
