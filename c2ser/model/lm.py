"""The language model: a causal LM with LoRA that reads [prompt][begin][speech][end] and writes the answer."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import Cache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from c2ser.chat_templates import render_around
from c2ser.model.adapters import add_adapters
from c2ser.model.arranging import arrange, causal_mask
from c2ser.model.config import GREEDY, LoraSettings, SearchConfig
from c2ser.model.continuations import log_probabilities
from c2ser.model.key_values import InstructionCache, Reading, cache_name, may_share, read, shared_by_all
from c2ser.model.perception import Vectors, padding_mask
from c2ser.model.search import search_tokens
from c2ser.model.token_weights import token_loss

SPEECH = "<|c2ser-speech|>"
"""Marks the position of the speech in a chat template; the model never gets it."""

TOKENISED_AT_ONCE = 1_000
"""So many answers are tokenised at once."""

SCALED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings of language models that change the output of their head; we call the head directly and refuse them."""


class LanguageModel(nn.Module):
    """A causal LM, its adapters and its tokenizer.

    Args:
        llm: the model.
        tokenizer: its tokenizer.
        lora: adapters to add.
        chat_template: whether the prompt is put into the tokenizer's chat template, the speech following it in the
            user's turn; plain text otherwise, as in the published system.
        end_token: what ends an answer; None takes the tokenizer's own.

    Raises:
        ValueError: the tokenizer lacks the end token or a chat template or has more tokens than the model, or the model
            scales its logits or keeps its embeddings in no plain table.

    Attributes:
        dim: size of the token embeddings.
        end: id of the end token.
    """

    def __init__(
        self,
        llm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        lora: LoraSettings,
        chat_template: bool,
        end_token: str | None = None,
    ) -> None:
        super().__init__()
        name = llm.config.name_or_path or llm.config.model_type
        end = tokenizer.convert_tokens_to_ids(end_token) if end_token else tokenizer.eos_token_id
        if not isinstance(end, int) or (end_token and tokenizer.convert_ids_to_tokens(end) != end_token):
            token = end_token or "end token"
            raise ValueError(f"{name}: its tokenizer has no {token}; choose another language model")
        if chat_template and not tokenizer.chat_template:
            raise ValueError(f"{name}: its tokenizer has no chat template; set chat_template: false")
        table = llm.get_input_embeddings()
        if not isinstance(table, nn.Embedding):
            raise ValueError(f"{name}: keeps its embeddings in a {type(table).__name__}; choose another language model")
        if len(tokenizer) > (rows := table.num_embeddings):
            raise ValueError(f"{name}: has {rows} tokens, its tokenizer {len(tokenizer)}; use the one made for it")
        if scaled := [key for key in SCALED_LOGITS if getattr(llm.config, key, None) is not None]:
            raise ValueError(f"{name}: scales its logits ({', '.join(scaled)}); choose a model of another family")
        self.tokenizer, self.chat_template, self.name = tokenizer, chat_template, name
        self._known_prompts: dict[str, tuple[list[int], list[int]]] = {}
        self._instructions = InstructionCache()
        if lora.r:
            add_adapters(llm, lora)
        self.llm = llm
        self.dim, self.end = table.embedding_dim, end
        # a hub's generation settings (sampling, repetition penalty) would make answers differ from run to run
        self.llm.generation_config = GenerationConfig(eos_token_id=self.end, pad_token_id=self.end)

    def prompt_ids(self, prompt: str) -> tuple[list[int], list[int]]:
        """Return the token ids before and after the speech.

        Raises:
            ValueError: the chat template fails, does not end or leaves the prompt out.
        """
        if not self.chat_template:
            return self.tokenizer(prompt)["input_ids"], []
        if prompt in self._known_prompts:
            return self._known_prompts[prompt]
        turn = [{"role": "user", "content": prompt + SPEECH}]
        before, after = render_around(self.tokenizer, turn, SPEECH, self.name)
        self._known_prompts[prompt] = self._tokens(before), self._tokens(after)
        return self._known_prompts[prompt]

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _embed(self, ids: Sequence[int]) -> Tensor:
        table = self.llm.get_input_embeddings()
        return table(torch.tensor(ids, dtype=torch.long, device=self.llm.device))

    def contexts(self, speech: Vectors, boundaries: Tensor, prompts: Sequence[str]) -> list[Tensor]:
        """Return what comes before each answer, as embeddings (time, dim)."""
        around = {prompt: [self._embed(ids) for ids in self.prompt_ids(prompt)] for prompt in set(prompts)}
        rows = []
        for values, length, prompt in zip(speech.values, speech.counts, prompts, strict=True):
            before, after = around[prompt]
            middle = torch.cat([boundaries[:1], values[:length], boundaries[1:]]).to(before.dtype)
            rows.append(torch.cat([before, middle, after]))
        return rows

    def sequence_lengths(self, prompt: str, answers: Iterable[str]) -> list[int]:
        """Return the number of tokens of each answer with its prompt and boundaries, without the speech."""
        before, after = self.prompt_ids(prompt)
        around = len(before) + 2 + len(after) + 1  # the boundaries of the speech, the end token
        lengths: list[int] = []
        left = iter(answers)
        while part := list(islice(left, TOKENISED_AT_ONCE)):  # texts and tokens of a whole corpus would fill the memory
            lengths += [around + len(row) for row in self.tokenizer(part, add_special_tokens=False)["input_ids"]]
        return lengths

    def answer_loss(
        self,
        speech: Vectors,
        boundaries: Tensor,
        prompts: Sequence[str],
        answers: Sequence[str],
        weights: Sequence[float] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the mean cross-entropy of the answers' tokens and end tokens, and the share predicted rightly.

        The head, which is wide, is computed only at positions with a label.

        Args:
            speech: embeddings (batch, time, dim).
            boundaries: embeddings of the begin and the end of speech, (2, dim).
            prompts: one for each utterance.
            answers: one for each utterance.
            weights: of the tokens of all answers, as `c2ser.model.token_weights` has them; None for all the same.
        """
        labels = [[*self._tokens(answer), self.end] for answer in answers]
        around = {p: [self._embed(ids) for ids in self.prompt_ids(p)] for p in dict.fromkeys(prompts)}
        said = self._embed([i for ids in labels for i in ids[:-1]])
        sizes = [len(ids) - 1 for ids in labels]
        table, places = arrange([around[p] for p in prompts], speech.values, speech.counts, boundaries, said, sizes)
        shared = self._shared(prompts)
        embedded, lengths = table.batch([row[shared:] for row in places]), [len(row) - shared for row in places]
        hidden = self.hidden_states(embedded, lengths, table.batch([places[0][:shared]])[0] if shared else None)
        ends = [number * embedded.shape[1] + length for number, length in enumerate(lengths)]
        places = [[*range(end - len(ids), end)] for end, ids in zip(ends, labels, strict=True)]
        chosen = torch.tensor([*chain(*places)], device=hidden.device)
        labelled = hidden.flatten(0, 1).index_select(0, chosen)
        logits = self.llm.get_output_embeddings()(labelled).float()  # (labels, vocabulary)
        target = torch.tensor([i for ids in labels for i in ids], device=logits.device)
        return token_loss(logits, target, weights)

    def _shared(self, prompts: Sequence[str]) -> int:
        """Return how many embeddings the rows of a batch begin with in common, so that they are computed once."""
        if len(set(prompts)) > 1 or not may_share(self.llm):
            return 0
        return len(self.prompt_ids(prompts[0])[0]) + 1  # the prompt and the begin of speech

    def hidden_states(self, embedded: Tensor, lengths: Sequence[int], shared: Tensor | None = None) -> Tensor:
        """Return the last hidden states of padded embeddings (batch, time, dim).

        Args:
            embedded: the embeddings.
            lengths: how many of each row are no padding, which is at the right.
            shared: embeddings that come before each row, (count, dim); None for none.
        """
        decoder = self.llm.get_decoder()
        if shared is None:
            mask = causal_mask(lengths, embedded, decoder.config)
            return decoder(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
        past = read(self.llm, shared[None])
        past.batch_repeat_interleave(len(embedded))
        real = padding_mask(torch.tensor(lengths, device=embedded.device), embedded.shape[1])
        mask, name = pad(real, (len(shared), 0), value=True).long(), cache_name(decoder.forward)
        output = decoder(inputs_embeds=embedded, attention_mask=mask, use_cache=True, **{name: past})
        return output.last_hidden_state

    @torch.no_grad()
    def answer_tokens(
        self,
        speech: Vectors,
        boundaries: Tensor,
        prompts: Sequence[str],
        max_new_tokens: int,
        search: SearchConfig = GREEDY,
        keys: Sequence[str] | None = None,
        reading: Reading | None = None,
    ) -> list[list[int]]:
        """Return the tokens of the answers of a batch, padded at the end.

        Args:
            speech: embeddings (batch, time, dim).
            boundaries: embeddings of the begin and the end of speech, (2, dim).
            prompts: one for each utterance.
            max_new_tokens: an answer is cut off after this many tokens.
            search: how tokens are chosen.
            keys: utterance ids; if tokens are drawn at random, the draws depend on them.
            reading: keeps what is read, for `score`.
        """
        contexts = self.contexts(speech, boundaries, prompts)
        begun = self._begun(contexts, boundaries, prompts)
        return search_tokens(self.llm, contexts, max_new_tokens, search, keys, begun, reading)

    def texts(self, tokens: Sequence[list[int]]) -> tuple[list[str], list[int]]:
        """Return the answers that these tokens are, and the number of tokens of each, its end token included."""
        cut = [row[: row.index(self.end) + 1] if self.end in row else row for row in tokens]
        return self.tokenizer.batch_decode(cut, skip_special_tokens=True), [len(row) for row in cut]

    def _begun(self, contexts: Sequence[Tensor], boundaries: Tensor, prompts: Sequence[str]) -> Cache | None:
        """Return the keys and values of what all contexts begin with, or None; of one row."""
        shared = self._shared(prompts)
        return self._instructions.begin(self.llm, prompts[0], boundaries, contexts[0][:shared]) if shared else None

    @torch.no_grad()
    def score(
        self,
        speech: Vectors,
        boundaries: Tensor,
        prompts: Sequence[str],
        answers: Sequence[Sequence[str]],
        reading: Reading | None = None,
    ) -> list[Tensor]:
        """Return the log-probabilities of given answers, their end tokens included, from one forward pass.

        Args:
            speech: embeddings (batch, time, dim).
            boundaries: embeddings of the begin and the end of speech, (2, dim).
            prompts: one for each utterance.
            answers: those to score, for each utterance.
            reading: what `generate` kept of the same batch.

        Returns:
            for each utterance a tensor (answers,).
        """
        continuations = [[[*self._tokens(answer), self.end] for answer in row] for row in answers]
        contexts, known = self.contexts(speech, boundaries, prompts), reading.take() if reading else None
        if known is None and (begun := self._begun(contexts, boundaries, prompts)) is not None:
            known = shared_by_all(begun, len(contexts), contexts[0].device)
        return log_probabilities(self.llm, contexts, continuations, known)
