"""The table of recipes: how to make a node of an operator whose operands must fit each other.

Operators without a recipe are made from their schemas alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from graphopt.testing.generate.builder import Builder

Make = Callable[["Builder", str], object]
M = TypeVar("M", bound=Make)


@dataclass(frozen=True)
class Recipe:
    """How to make nodes of an operator.

    Attributes:
        op_types: The operators; all are defined in the standard domain.
        make: Adds a node of one of them to a builder. Raises `Unfit` or `ExecutionError` where it cannot.
        weight: How often it is taken, relative to the others.
        copies: It makes nodes like those that are there, so that no bound on operators rules it out.
    """

    op_types: tuple[str, ...]
    make: Make
    weight: int
    copies: bool = False

    @property
    def is_idiom(self) -> bool:
        """It writes something out in several nodes."""
        return ".idioms." in self.make.__module__

    @property
    def words(self) -> frozenset[str]:
        """What its name is made of, and its module's, in the singular."""
        name = f"{self.make.__name__}_{self.make.__module__.rpartition('.')[2]}"
        return frozenset(word.removesuffix("s") for word in name.split("_"))


RECIPES: list[Recipe] = []


class Unfit(Exception):
    """No operands fit; another node is tried instead."""


def recipe(*op_types: str, weight: int = 10, copies: bool = False) -> Callable[[M], M]:
    """Register a function that adds a node of one of these operators."""

    def register(make: M) -> M:
        RECIPES.append(Recipe(op_types, make, weight, copies))
        return make

    return register
