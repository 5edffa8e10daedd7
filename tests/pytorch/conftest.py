"""Tests of this folder need PyTorch, an extra: without it they are skipped, each file with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from graphopt.pytorch.require import is_missing

WITHOUT_TORCH = "test_without_torch.py"


class Skipped(pytest.Module):
    """A file of tests that is not even imported."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        pytest.skip(f"{is_missing()} is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if module_path.name == WITHOUT_TORCH or not is_missing():
        return None
    skipped: Skipped = Skipped.from_parent(parent, path=module_path)
    return skipped
