"""A trace is compared at other sizes than the example's too, where dimensions may vary."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from graphopt.errors import TraceError
from graphopt.pytorch import trace
from graphopt.pytorch.importer import interface
from graphopt.pytorch.signature import SIGNATURE_KEY


class EvenOnly(torch.nn.Module):  # type: ignore[misc]
    """Takes the way of the example's size."""

    def forward(self, x: Any) -> Any:
        return x * 2 if x.shape[0] % 2 == 0 else x


class EvenSizes(torch.nn.Module):  # type: ignore[misc]
    """Runs at even sizes only."""

    def forward(self, x: Any) -> Any:
        return x.view(2, x.shape[0] // 2).sum(0)


def notes(module: Any, size: int) -> tuple[str, ...]:
    found: tuple[str, ...] = trace(module, torch.randn(size), {"x": {0: "n"}}).meta[SIGNATURE_KEY].notes
    return found


def test_what_was_assumed_is_told_with_a_size_where_it_is_false() -> None:
    assumed, told = notes(EvenOnly(), 4)
    assert "n % 2" in assumed
    assert told.startswith("for n=5 the graph differs from the module in output 'output'")


def test_a_difference_that_no_assumption_explains_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(interface, "assumption_notes", lambda *_: [])
    with pytest.raises(TraceError, match="holds for the example's sizes only: for n=5 the graph differs"):
        notes(EvenOnly(), 4)


def test_sizes_are_doubled_where_the_module_refuses_one_more() -> None:
    assert not [note for note in notes(EvenSizes(), 4) if "differs" in note]


def test_a_static_trace_is_compared_at_its_sizes_only() -> None:
    assert trace(EvenOnly(), torch.randn(4)).meta[SIGNATURE_KEY].notes == ()
