"""A missing compiled extension is told with what to do about it."""

from __future__ import annotations

import sys

import pytest


def test_missing_extension_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("graphopt.native")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "graphopt._native", None)
    with pytest.raises(
        ImportError, match=r"graphopt\._native, is missing[\s\S]*hint: install graphopt again"
    ):
        import graphopt.native  # noqa: F401
