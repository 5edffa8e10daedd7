"""Graphs as exporters write them: what each means is found in every one, and the numbers stay.

The models are exported once into the zoo's cache, which takes PyTorch, transformers and skl2onnx of the extra
`benchmarks`; where a package or the cache is absent its tests are skipped. `GRAPHOPT_EXPORT=1` exports first.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile import optimize
from graphopt.execute.session import Session
from graphopt.ir import nodes

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
exporters: Any = importlib.import_module("exporters")

NORMS = ("LayerNormalization", "RMSNormalization")
TOLERANCE = {"float32": 1e-5, "float16": 5e-3}
"""Largest difference, relative to the largest output."""

ACTIVATIONS = {"bert": "Gelu", "gpt2": "Gelu", "gpt2-past": "Gelu", "vit": "Gelu", "whisper-encoder": "Gelu"}
"""Which operator the activation of a network becomes; others stay as they are the fastest (SiLU, ReLU)."""
EXPORTED = [name for name, export in exporters.EXPORTS.items() if export.exporter != "skl2onnx"]
TABLES = [name for name, export in exporters.EXPORTS.items() if export.exporter == "skl2onnx"]


def path_of(name: str) -> Path:
    """The file of an export; skips the test where it was not made and is not to be."""
    export = exporters.EXPORTS[name]
    target: Path = exporters.cache() / f"{name}.onnx"
    if not target.exists():
        missing = [module for module in export.network.needs if importlib.util.find_spec(module) is None]
        if missing:
            pytest.skip(f"exporting {name} needs {', '.join(missing)}")
        if not os.environ.get("GRAPHOPT_EXPORT"):
            pytest.skip(f"{name} was not exported: GRAPHOPT_EXPORT=1, or python benchmarks/exporters.py")
    path: Path = export.path()
    return path


@cache
def optimized(name: str) -> tuple[ir.Model, ir.Model]:
    """An export, and what level 2 makes of it."""
    path = path_of(name)
    return ir.load(path), optimize(path, measure=False, check=False).model


def assert_same_numbers(name: str) -> None:
    before, after = (Session(model) for model in optimized(name))
    for feed in exporters.EXPORTS[name].inputs():
        expected = before.run({each: feed[each] for each in before.input_names})
        actual = after.run({each: feed[each] for each in after.input_names})
        for output, array in expected.items():
            if array.dtype.kind != "f":
                assert np.array_equal(array, actual[output])
                continue
            bound = TOLERANCE[array.dtype.name] * max(1.0, float(np.abs(array).max(initial=0)))
            np.testing.assert_allclose(actual[output].astype(float), array.astype(float), rtol=0, atol=bound)


@pytest.mark.parametrize("name", EXPORTED)
def test_attention_norms_and_activations_are_found(name: str) -> None:
    network = exporters.EXPORTS[name].network
    counts = Counter(node.op_type for node in nodes(optimized(name)[1]))
    assert counts["Attention"] == network.attentions and not counts["Softmax"]
    assert sum(counts[norm] for norm in NORMS) == network.norms
    assert not {"ReduceMean", "Erf", "IsNaN"} & counts.keys()
    if network.name in ACTIVATIONS:
        assert counts[ACTIVATIONS[network.name]] == network.activations and not counts["Tanh"]
    if network.name == "llama":
        assert counts["RotaryEmbedding"] == 2 * network.attentions


@pytest.mark.parametrize("name", [*EXPORTED, *TABLES])
def test_numbers_stay(name: str) -> None:
    assert_same_numbers(name)


@pytest.mark.parametrize("name", EXPORTED)
def test_heads_and_caches_are_taken_in(name: str) -> None:
    network = exporters.EXPORTS[name].network
    for node in nodes(optimized(name)[1]):
        if node.op_type == "Attention":
            assert "q_num_heads" in node.attributes
            past = [value for value in node.inputs[4:] if value is not None]
            assert len(past) == (2 if any(key.startswith("past") for key in network.axes or ()) else 0)
