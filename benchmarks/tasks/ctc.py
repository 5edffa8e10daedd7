"""Text from CTC outputs, and how near two texts are. Pure arithmetic, no model and no files."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.task import Array, Figures, equal

BLANK = 0


def greedy(scores: Array, characters: Sequence[str]) -> str:
    """The text of scores [steps, classes]: the best class of each step, repeats merged, blanks dropped.

    `characters[i]` is class `i`; class 0 is the blank.
    """
    best = scores.argmax(axis=-1)
    return "".join(
        characters[index]
        for step, index in enumerate(best)
        if index != BLANK and (step == 0 or index != best[step - 1])
    )


def edit_distance(a: str, b: str) -> int:
    """The fewest insertions, deletions and substitutions of a character between two texts (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def text_figures(drawn: Sequence[str], expected: Sequence[str], actual: Sequence[str]) -> Figures:
    """Exact matches and right characters against what was drawn, and lines read as the float model does."""
    errors = [min(len(a), edit_distance(a, b)) for a, b in zip(drawn, actual, strict=True)]
    return {
        "exact": equal(drawn, actual),
        "characters": 100.0 * (1 - sum(errors) / sum(map(len, drawn))),
        "agreement": equal(expected, actual),
    }
