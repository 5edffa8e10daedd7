"""Which weights of a layer may be zero together: any, N of M in a row, or whole blocks.

Weights are arrays [groups, outputs, inputs], as the groups of a convolution have them; a dense layer is one
group. Scores say what each weight is worth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_PATTERN = re.compile(r"(\d+):(\d+)")
_BLOCK = re.compile(r"(\d+)x(\d+)")


@dataclass(frozen=True)
class Sparsity:
    """A structure of zeros.

    Attributes:
        most: Of every `run` weights of an output, one after the other, so many stay; 0 for any number.
        run: See `most`.
        block: Outputs and inputs of a block whose weights stay or go together.
    """

    most: int = 0
    run: int = 1
    block: tuple[int, int] = (1, 1)

    @classmethod
    def parse(cls, pattern: str = "", block: str = "") -> Sparsity:
        """The structure of a pattern like `2:4`, of which 2 of 4 weights stay, or a block like `4x1`.

        Raises:
            UsageError: The text is of another form, or both are given.
        """
        if pattern and block:
            raise UsageError(f"pattern {pattern!r} and block {block!r} are given", hint="leave one out")
        if pattern:
            found = _PATTERN.fullmatch(pattern)
            most, run = (int(found[1]), int(found[2])) if found else (0, 0)
            if not 0 < most < run:
                raise UsageError(
                    f"pattern {pattern!r}, expected N:M with N less than M, as 2:4",
                    hint="of each M weights N stay: 2:4 keeps two of four",
                )
            return cls(most, run)
        if block:
            found = _BLOCK.fullmatch(block)
            sides = (int(found[1]), int(found[2])) if found else (0, 0)
            if min(sides) < 1:
                raise UsageError(f"block {block!r}, expected OUTPUTSxINPUTS, as 4x1 or 1x16")
            return cls(block=sides)
        return cls()

    @property
    def unit(self) -> int:
        """The inputs that belong together are a multiple of this."""
        return self.run if self.most else self.block[1]

    def reason_against(self, outputs: int, inputs: int) -> str | None:
        """Why weights [outputs, inputs] cannot have this structure; None if they can.

        Args:
            outputs: Of a group.
            inputs: That lie one after the other: channels of a group.
        """
        if inputs % self.unit:
            return f"its {inputs} inputs are no multiple of {self.unit}"
        if outputs % self.block[0]:
            return f"its {outputs} outputs are no multiple of {self.block[0]}"
        return None

    def share(self, rate: float) -> float:
        """The share of all weights that are zero where `rate` is asked for; that of N:M is its own."""
        return 1 - self.most / self.run if self.most else rate

    def is_met(self, weight: Array, rate: float) -> bool:
        """Whether a weight has zeros enough, and where they may be."""
        if self.most:
            runs = weight.reshape(*weight.shape[:-1], -1, self.run)
            return bool((np.count_nonzero(runs, axis=-1) <= self.most).all())
        return self.zeros(weight) >= round(rate * self.blocks(weight.size))

    def zeros(self, weight: Array) -> int:
        """Blocks of nothing but zeros; N:M counts single weights."""
        return int(np.count_nonzero(~self._blocks(weight != 0).any(axis=(-3, -1))))

    def kept(self, scores: Array, rate: float, progress: float = 1.0) -> Mask:
        """The weights to keep: all but the share `rate` of least worth.

        Args:
            scores: Of each weight, none negative.
            rate: Share of the blocks that goes.
            progress: Only this share of what goes does so.
        """
        if self.most:
            runs = scores.reshape(-1, self.run)
            weakest = np.argpartition(runs, self.run - self.most - 1, axis=1)[:, : self.run - self.most]
            may_go = np.zeros(runs.shape, bool)
            np.put_along_axis(may_go, weakest, True, axis=1)
            worth = np.where(may_go, runs, np.inf).reshape(-1)
            count = round(progress * np.count_nonzero(may_go))
            return _all_but_least(worth, count).reshape(scores.shape)
        by_block = self.by_block(scores)
        count = round(progress * round(rate * by_block.size))
        kept = _all_but_least(by_block.reshape(-1), count).reshape(by_block.shape)
        return np.repeat(np.repeat(kept, self.block[0], axis=-2), self.block[1], axis=-1)

    def by_block(self, scores: Array) -> Array:
        """The mean score of the weights of each block."""
        return np.asarray(self._blocks(scores).mean(axis=(-3, -1), dtype=np.float64))

    def blocks(self, weights: int) -> int:
        """How many blocks so many weights are."""
        return weights // self._elements

    @property
    def _elements(self) -> int:
        return self.block[0] * self.block[1]

    def _blocks(self, array: Array) -> Array:
        """[groups, outputs / rows, rows, inputs / columns, columns] of [groups, outputs, inputs]."""
        groups, outputs, inputs = array.shape
        rows, columns = self.block
        return array.reshape(groups, outputs // rows, rows, inputs // columns, columns)


def _all_but_least(worth: Array, count: int) -> Mask:
    kept = np.ones(worth.size, bool)
    if count:
        kept[np.argpartition(worth, count - 1)[:count]] = False
    return kept
