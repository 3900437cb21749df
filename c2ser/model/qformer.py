"""A Q-Former in place of the connector, as in SECap: a fixed number of queries looks at all states of the encoders.

With `window` the queries look at one window after another, as in SALMONN.
"""

from math import ceil

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from c2ser.model.config import ConnectorConfig
from c2ser.model.connector import join
from c2ser.model.perception import Vectors, padding_mask

RATE = 50
"""States per second, of Whisper and of Emotion2Vec-S."""


class QFormerConnector(nn.Module):
    """Queries that attend to the encoders' states, and a projection to the language model's size.

    The network is that of transformers, with attention to the states in every second layer. Its weights are random at
    first; SECap's begin as BERT.

    Args:
        config: its sizes.
        semantic: size of Whisper's states, or None without Whisper.
        acoustic: size of the acoustic vectors, or None without Emotion2Vec-S.
        out: hidden size of the language model.

    Raises:
        ValueError: both encoders are missing, or sizes do not divide.
    """

    def __init__(self, config: ConnectorConfig, semantic: int | None, acoustic: int | None, out: int) -> None:
        super().__init__()
        if semantic is None and acoustic is None:
            raise ValueError("the model has neither Whisper nor Emotion2Vec-S; configure at least one encoder")
        dim = config.dim
        if dim % config.heads:
            raise ValueError(f"connector.dim {dim} does not divide into {config.heads} heads; choose other sizes")
        self.config = config
        self.semantic = nn.Linear(semantic, dim) if semantic else None
        self.acoustic = nn.Linear(acoustic, dim) if acoustic else None
        self.queries = nn.Parameter(0.02 * torch.randn(config.queries, dim))
        sizes = Blip2QFormerConfig(
            hidden_size=dim,
            encoder_hidden_size=dim,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feed_forward,
            cross_attention_frequency=2,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
        )
        self.qformer = Blip2QFormerModel(sizes)
        self.project = nn.Linear(dim, out)
        self.boundaries = nn.Parameter(0.02 * torch.randn(2, out))  # before and after the speech

    def forward(self, semantic: Vectors | None, acoustic: Vectors | None) -> Vectors:
        """Connect a batch.

        Args:
            semantic: Whisper's states (batch, time, size).
            acoustic: acoustic vectors (batch, count, size).

        Returns:
            speech embeddings (batch, queries of all windows, out).
        """
        parts = [(self.acoustic, acoustic), (self.semantic, semantic)]
        states = join(
            [Vectors(layer(part.values), part.lengths, part.counts) for layer, part in parts if layer and part]
        )
        batch, size = len(states.values), self._window(states.values.shape[1])
        windows = ceil(states.values.shape[1] / size)
        values = pad(states.values, (0, 0, 0, windows * size - states.values.shape[1]))
        mask = padding_mask(states.lengths, windows * size)
        found = self.qformer(
            query_embeds=self.queries.expand(batch * windows, -1, -1),
            encoder_hidden_states=values.unflatten(1, (windows, size)).flatten(0, 1),
            encoder_attention_mask=mask.unflatten(1, (windows, size)).flatten(0, 1).long(),
        ).last_hidden_state
        embeddings: Tensor = self.project(found).unflatten(0, (batch, windows)).flatten(1, 2)
        lengths = (states.lengths + size - 1) // size * len(self.queries)
        counts = [ceil(count / size) * len(self.queries) for count in states.counts]
        used = padding_mask(lengths, embeddings.shape[1])
        return Vectors(embeddings * used[:, :, None].to(embeddings.dtype), lengths, counts)

    @property
    def layers(self) -> nn.ModuleList:
        """The Transformer layers."""
        return self.qformer.encoder.layer

    def max_embeddings(self, states: int, acoustic: int) -> int:
        """Return how many embeddings so many states and acoustic vectors give."""
        total = (states if self.semantic else 0) + acoustic
        return ceil(total / self._window(total)) * len(self.queries)

    def _window(self, states: int) -> int:
        """Return how many states a window has; all of them if there are no windows."""
        return max(1, round(self.config.window * RATE)) if self.config.window else max(1, states)
