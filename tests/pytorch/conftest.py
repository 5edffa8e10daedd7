"""Tests of this folder need PyTorch, an extra: without it they are skipped, and each says why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from graphopt.pytorch.require import is_missing

WITHOUT_TORCH = "test_without_torch.py"


class Skipped(pytest.Collector):
    """A file or folder of tests that is not even imported, nor are the fixtures in it."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        pytest.skip(f"{is_missing()} is not installed", allow_module_level=True)


class SkippedFile(Skipped, pytest.Module):
    """The same for a file."""


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if module_path.name == WITHOUT_TORCH or not is_missing():
        return None
    file: SkippedFile = SkippedFile.from_parent(parent, path=module_path)
    return file


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if not is_missing():
        return None
    folder: Skipped = Skipped.from_parent(parent, name=path.name, path=parent.path)
    return folder
