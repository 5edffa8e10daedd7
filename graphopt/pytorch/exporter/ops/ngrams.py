"""TfIdfVectorizer over integers; strings PyTorch has not."""

from __future__ import annotations

import operator

import torch
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import ngrams as functions


@translates("TfIdfVectorizer")
def tf_idf_vectorizer(site: Site) -> fx.Node:
    if site.attribute("pool_int64s") is None:
        site.refuse("it counts strings")
    grams, places = [], []
    for gram, place in zip(_pool(site), site.attribute("ngram_indexes"), strict=False):
        if site.attribute("min_gram_length") <= len(gram) <= site.attribute("max_gram_length"):
            grams.append(gram)
            places.append(place)
    width = max(site.attribute("ngram_indexes")) + 1
    skipped = site.attribute("max_skip_count")
    counts = site.call(functions.count_ngrams, site.tensor(0), grams, places, width, skipped)
    mode, weights = site.attribute("mode"), site.attribute("weights")
    if mode == "IDF":
        counts = site.method("to", site.call(operator.gt, counts, 0), torch.float32)
    if mode == "TF" or weights is None:
        return counts
    ordered = [1.0] * width
    for place, weight in zip(site.attribute("ngram_indexes"), weights, strict=False):
        ordered[place] = weight
    return site.call(operator.mul, counts, site.method("new_tensor", counts, ordered))


def _pool(site: Site) -> list[list[int]]:
    """The sequences: those of length 1 first, each length from where `ngram_counts` says."""
    pool, starts = list(site.attribute("pool_int64s")), list(site.attribute("ngram_counts"))
    grams = []
    for index, start in enumerate(starts):
        end = starts[index + 1] if index + 1 < len(starts) else len(pool)
        grams += [pool[first : first + index + 1] for first in range(start, end, index + 1)]
    return grams
