"""A speech classifier as an ONNX file: one graph from the waveform to the probabilities, which says what it takes."""

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import c2ser
from c2ser.audio import SAMPLE_RATE
from c2ser.emotion2vec.onnx_check import difference_on_noise
from c2ser.emotion2vec.speech_classifier import SpeechClassifier
from c2ser.log import get_logger
from c2ser.tables import write_bytes

if TYPE_CHECKING:
    from onnx import ModelProto

logger = get_logger(__name__)

INPUTS = ("waveform", "lengths")
OUTPUTS = ("frames", "embedding", "probabilities")

MAX_BYTES = 2**31 - 1
"""A file of ONNX is one message of protobuf, which is no larger."""


TOLERANCE = 1e-4
"""How much an answer in float32 may differ from torch's."""


def export_onnx(classifier: SpeechClassifier, out: str | Path, int8: bool = False) -> None:
    """Write a classifier as the ONNX file OUT, for any length and batch.

    The graph has the inputs and outputs of `SpeechClassifier.forward`, called `INPUTS` and `OUTPUTS`; it normalises the
    waveform itself. `metadata` says what stands beside it in the file.

    Args:
        classifier: the classifier, on a CPU.
        out: the file.
        int8: store the weights of matrix products in 8 bits; their inputs are then rounded too, as they come.

    Raises:
        ValueError: the file would be too large for the format, or does not answer as the classifier does.
    """
    from onnx.helper import set_model_props

    model = _quantised(_graph(classifier)) if int8 else _graph(classifier)
    set_model_props(model, metadata(classifier, int8))
    if model.ByteSize() > MAX_BYTES:
        raise ValueError(
            f"{out}: {model.ByteSize() / 1e9:.1f} GB, and an ONNX file holds 2; export it with --int8 true"
        )
    content = model.SerializeToString()
    difference = difference_on_noise(classifier, content)
    if not int8 and not difference < TOLERANCE:  # NaN is not, either
        raise ValueError(f"{out}: not written, since it differs from torch by {difference:.1e}; update torch and onnx")
    write_bytes(out, content)
    logger.info("%s: %.1f MB, %d classes, %.1e from torch on noise", out, len(content) / 1e6, len(classifier.labels),
                difference)  # fmt: skip


def check_packages() -> None:
    """Import what the export needs.

    Raises:
        ValueError: a package is missing.
    """
    try:
        import onnx  # noqa: F401 - all three in the extra [onnx]
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401 - torch.onnx needs it
    except ImportError as error:
        raise ValueError(f"{error.name}: not installed; pip install 'c2ser[onnx]'") from None


def metadata(classifier: SpeechClassifier, int8: bool) -> dict[str, str]:
    """Return what the file says of itself, each value a text.

    Returns:
        `labels`: the classes, a JSON list in the order of the probabilities; `sample_rate` (Hz) and `channels` of the
        waveform; `normalization`: what the graph does to it; `min_samples` and, if there is one, `max_samples` that it
        takes; `hop_samples` from frame to frame; `batch`: any, or 1; `weights`: float32 or int8; `producer`.
    """
    encoder = classifier.encoder
    return {
        "labels": json.dumps(classifier.labels, ensure_ascii=False),
        "sample_rate": str(SAMPLE_RATE),
        "channels": "1",
        "normalization": encoder.normalization,
        "min_samples": str(encoder.min_samples),
        **({"max_samples": str(encoder.max_samples)} if encoder.max_samples else {}),
        "hop_samples": str(encoder.hop_samples),
        "batch": "1" if encoder.single else "any",
        "weights": "int8" if int8 else "float32",
        "producer": f"c2ser {c2ser.__version__}",
    }


def _graph(classifier: SpeechClassifier) -> "ModelProto":
    """Return a classifier as ONNX, with symbolic sizes."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    # more than one of each size that is not fixed, or it would be taken as fixed
    lengths = torch.tensor([2 * SAMPLE_RATE, SAMPLE_RATE][: 1 if classifier.encoder.single else 2])
    waveform = torch.zeros(len(lengths), 2 * SAMPLE_RATE)
    samples = torch.export.Dim("samples")
    rows = {} if classifier.encoder.single else {0: torch.export.Dim("batch")}
    # the fused attention of a CPU has another memory layout than the products that it is written as in the file
    with _quiet(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        program = torch.onnx.export(
            classifier,
            (waveform, lengths),
            dynamo=True,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes={"waveform": {**rows, 1: samples}, "lengths": rows},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "frame_count"  # instead of a formula
    return model


def _quantised(model: "ModelProto") -> "ModelProto":
    """Return the same graph with its matrix products in 8 bits; convolutions stay in float32."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(model, path, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
        return onnx.load(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the libraries say about themselves out of the log."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "root")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
