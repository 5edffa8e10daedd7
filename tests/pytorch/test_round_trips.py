"""Module -> ONNX -> torch.fx -> ONNX on small networks and models; benchmarks/round_trips.py goes further.

llama-transformers needs transformers and is skipped without.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import graphopt

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
networks: Any = importlib.import_module("networks")
round_trips: Any = importlib.import_module("round_trips")
zoo: Any = importlib.import_module("zoo")

FIXED = ("resnet-basic", "lstm-tagger")
HALF = ("convnext", "gru-tagger", "llama")
SMALL_MODELS = ("ppocr-cls", "silero-vad", "magika", "light_squeezenet", "light_shufflenet")
"""Of the zoo; those that are not in its cache are left out."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks are slower on several threads, and tests run beside each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def case_of(name: str) -> Any:
    case = networks.NETWORKS[name]
    if case.missing():
        pytest.skip(f"{name} needs {', '.join(case.missing())}")
    return case


def assert_good(trip: Any, go: Any) -> None:
    round_trips.attempt(trip, go)
    assert trip.good, str(trip)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_free_sizes(name: str) -> None:
    go = partial(round_trips.network_trip, case=case_of(name), dtype=torch.float32, dynamic=True)
    assert_good(round_trips.Trip(name, "float32 dynamic"), go)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_sizes(name: str) -> None:
    go = partial(round_trips.network_trip, case=case_of(name), dtype=torch.float32, dynamic=False)
    assert_good(round_trips.Trip(name, "float32 static"), go)


@pytest.mark.parametrize("name", HALF)
def test_half_precision(name: str) -> None:
    go = partial(round_trips.network_trip, case=case_of(name), dtype=torch.float16, dynamic=True)
    assert_good(round_trips.Trip(name, "float16 dynamic"), go)


@pytest.mark.parametrize("variant", ["as it is", "-O2 ort-cpu"])
@pytest.mark.parametrize("name", SMALL_MODELS)
def test_models_of_the_zoo(name: str, variant: str) -> None:
    entry = zoo.ZOO[name]
    path = entry.path() if name.startswith("light_") else zoo.cache() / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{name} is not in the zoo's cache: python benchmarks/zoo.py {name}")
    for part, model, feeds in round_trips.prepared(name, graphopt.load(path), entry.inputs()):
        go = partial(round_trips.zoo_trip, model=model, feeds=feeds)
        assert_good(round_trips.Trip(part, variant), go)


def test_error_is_relative_to_the_element_or_the_mean() -> None:
    expected = np.array([3.0, -4.0, 0.0, 1e3], np.float32)
    assert round_trips.relative_error([expected], [expected]) == 0.0
    rms = float(np.sqrt(np.mean(np.square(expected))))
    for place, error in ((0, 1 / rms), (3, 1e-3)):
        moved = expected.copy()
        moved[place] += 1
        assert round_trips.relative_error([expected], [moved]) == pytest.approx(error)


def test_what_is_not_comparable_is_infinitely_wrong() -> None:
    floats, ints = np.ones(3, np.float32), np.arange(3)
    for wrong in (floats[:2], floats.astype(np.int64), np.array([1, 1, np.nan], np.float32)):
        assert round_trips.relative_error([floats], [wrong]) == np.inf
    assert round_trips.relative_error([ints], [ints + 1]) == np.inf
    assert round_trips.relative_error([floats], []) == np.inf
