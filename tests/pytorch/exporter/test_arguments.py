"""Constants of every kind of integer, and bodies that take in several values of one name."""

from __future__ import annotations

from typing import Any

import torch

from graphopt.pytorch import to_fx, trace


class Bags(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.bag = torch.nn.EmbeddingBag(9, 4, mode="mean")

    def forward(self, x: Any) -> Any:
        return self.bag(x), x >> 1


def test_bodies_and_shifts() -> None:
    module, x = Bags(), torch.randint(0, 9, (3, 4))
    own = to_fx(trace(module, x, {"x": {0: "n"}}))
    for given in (x, x[:2]):
        torch.testing.assert_close(own(given), module(given))
