"""`graphopt.testing` loads its parts when they are used, and every name that it offers can be loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

import graphopt.testing


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, graphopt.testing; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pytest", "hypothesis", "onnxruntime", "onnx", "numpy"} & set(ran.stdout.split())


@pytest.mark.parametrize("name", graphopt.testing.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(graphopt.testing, name) is not None
    assert name in dir(graphopt.testing)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        graphopt.testing.nonsense  # noqa: B018
