"""Serve a model: an interface for programs, and a page in the browser."""

from pathlib import Path

from c2ser.serving.config import Limits

GROUP = "Use a model"


def main(
    model: str | None = None,
    host: str | None = None,
    port: int = 8000,
    token_file: Path | None = None,
    limits: Limits | None = None,
    device: str = "auto",
) -> None:
    """Serve a model on this machine until it is interrupted: POST /v1/emotions, a page at /, its description at /docs.

    Args:
        model: folder of a trained model or of an emotion2vec with a classifier, its file, or an id of the Hugging Face
            hub; by default the small model of `make demo`.
        host: address to listen on, 0.0.0.0 for all; requests then need a token. By default this machine alone.
        port: where to listen; 0 takes a free one.
        token_file: file with the token; by default C2SER_TOKEN of the environment. With --host one is made if none is
            given.
        limits: what is accepted.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    from c2ser.serving.server_process import choose_token, listen, serve

    token = choose_token(host, token_file)
    with listen(host, port) as opened:  # errors come before the model is loaded
        from c2ser.model.hub import small_model
        from c2ser.model.loading import load

        chosen = model or small_model()
        serve(load(chosen, device), Path(chosen).name, opened, limits or Limits(), token)


if __name__ == "__main__":
    from c2ser.cli import run

    run(main)
