"""Write an encoder with a classifier as an ONNX file, which runs without torch."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Use a model"


def main(model: Path, out: Path, probe: Path | None = None, int8: bool = False, data: Path | None = None) -> None:
    """Write the file OUT: from waveforms of any length, in any batch, to the probabilities of emotions.

    Args:
        model: a model of c2ser finetune, with any encoder; folder of an Emotion2Vec-S model, or a published checkpoint
            of the emotion2vec family.
        out: the file, for example emotion.onnx; an older one is replaced.
        probe: folder that train_probe wrote, with a probe on the embeddings of this model; not needed for emotion2vec+
            and models of c2ser finetune, which have a classifier of their own.
        int8: store the weights of matrix products in 8 bits: a smaller file that answers a little differently.
        data: data directory on which the file is compared with the model in torch: UA, labels, probabilities and the
            processor time of both.
    """
    from c2ser.emotion2vec.onnx_check import compare_on_speech
    from c2ser.emotion2vec.onnx_export import check_packages, export_onnx
    from c2ser.emotion2vec.speech_classifier import load_speech_classifier
    from c2ser.model.head_folder import is_head
    from c2ser.model.head_model import load_exportable

    check_packages()
    if is_head(model) and probe:
        raise ValueError(f"{model}: has a head of its own; leave --probe out")
    classifier = load_exportable(model) if is_head(model) else load_speech_classifier(model, probe)
    export_onnx(classifier, out, int8)
    if data:
        compare_on_speech(classifier, out, data)


if __name__ == "__main__":
    run(main)
