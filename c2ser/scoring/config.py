"""Choices that options of the entry points name; light, so that `--help` needs no drawing library."""

from typing import Literal

Projection = Literal["tsne", "pca"]
"""How embeddings become points: t-SNE keeps neighbours together, PCA keeps the largest variance."""
