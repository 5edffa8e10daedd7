"""Modules of `to_fx` come back from a pickle as they were, names included."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch

from graphopt.pytorch import to_fx, trace


class Windows(torch.nn.Module):  # type: ignore[misc]
    """Reshapes by sizes that vary, and has nested modules with names that are numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 1), torch.nn.BatchNorm2d(4))
        self.register_buffer("mask", torch.tensor([True, False, True, True]))

    def forward(self, x: Any) -> Any:
        x = torch.nn.functional.pad(self.layers(x), (0, -x.shape[3] % 4, 0, -x.shape[2] % 4))
        n, c, h, w = x.shape
        windows = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
        return {"windows": windows * self.mask, "size": torch.arange(h) * 2.5}


class Choice(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return torch.cond(x.sum() > 0, self.one, lambda x: self.other(x) * 2, (x,))


def reloaded(module: Any) -> Any:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    ("module", "x", "sizes"),
    [(Windows(), torch.rand(1, 2, 6, 10), {0: "n", 2: "h", 3: "w"}), (Choice(), torch.rand(2, 3), {0: "n"})],
    ids=["windows", "choice"],
)
def test_a_pickle_holds_the_graph(module: Any, x: Any, sizes: Any) -> None:
    own = to_fx(trace(module, x, {"x": sizes}))
    other = reloaded(reloaded(own))
    assert other.code == own.code
    assert list(other.state_dict()) == list(own.state_dict())
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in own.named_parameters()]
    for given in (x, -x, torch.cat([x, x])):
        torch.testing.assert_close(other(given), own(given))


def test_a_result_of_a_class_of_its_own_is_not_made_of_nodes() -> Any:
    from torch.utils import _pytree as pytree

    class Pair:
        def __init__(self, first: Any, second: Any) -> None:
            self.first, self.second, self.dtype = first, second, first.dtype

    pytree.register_pytree_node(Pair, lambda p: ([p.first, p.second], None), lambda c, _: Pair(*c))

    class Returning(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return Pair(x + 1, x * 2)

    result = to_fx(trace(Returning(), torch.ones(2)))(torch.ones(2))
    assert isinstance(result, Pair) and result.dtype == torch.float32
