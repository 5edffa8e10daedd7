"""The collector is paused, and what was made meanwhile is freed nevertheless."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from graphopt.ir import collector
from graphopt.ir.collector import paused_collector


class Knot:
    """Refers to itself, so that only the cyclic collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    gc.collect()
    yield
    gc.collect()
    assert gc.isenabled()


def test_it_is_off_inside_and_on_again_after_errors() -> None:
    with pytest.raises(ValueError), paused_collector():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()


def test_what_a_short_pause_made_is_freed_soon() -> None:
    with paused_collector():
        dead = weakref.ref(Knot())
    for _ in range(3):
        gc.collect(0)
    assert dead() is None


def test_what_long_pauses_made_is_freed_when_it_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "YOUNG", 10)
    monkeypatch.setattr(collector, "OLD", 1000)
    with paused_collector():
        knots = [Knot() for _ in range(2000)]
        dead = weakref.ref(knots.pop())
        del knots
    gc.collect(0)
    gc.collect(1)
    with paused_collector():
        pass
    assert dead() is None


def test_it_leaves_a_collector_that_is_off_alone() -> None:
    gc.disable()
    try:
        with paused_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
