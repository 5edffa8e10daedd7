"""What stands on the drawn lines: phrases, dates, prices and codes, of the words that are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def phrase(rng: np.random.Generator, words: Sequence[str]) -> str:
    """One to four words, a date, a price, a code or a number, as on forms, signs and labels."""
    kind = rng.integers(0, 8)
    if kind < 5:
        chosen = [str(word) for word in rng.choice(list(words), int(rng.integers(1, 5)), replace=False)]
        return _cased(rng, chosen)
    if kind == 5:
        year, month, day = rng.integers(1950, 2030), rng.integers(1, 13), rng.integers(1, 29)
        return str(rng.choice([f"{year}-{month:02}-{day:02}", f"{day:02}/{month:02}/{year}"]))
    if kind == 6:
        return f"{rng.choice(list(words))} ${rng.integers(1, 2000)}.{rng.integers(0, 100):02}"
    code = "".join(rng.choice(list(LETTERS), 3))
    return f"{code}-{rng.integers(1000, 1000000)}"


def _cased(rng: np.random.Generator, chosen: list[str]) -> str:
    kind = rng.integers(0, 3)
    if kind == 0:
        return " ".join(chosen)
    if kind == 1:
        return " ".join(word.capitalize() for word in chosen)
    return " ".join(chosen).upper()
