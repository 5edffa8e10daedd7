"""Mutants of valid models are refused or optimized, and the same number always gives the same mutant."""

from __future__ import annotations

import random
import sys

import onnx
import pytest

from graphopt.io import load
from graphopt.testing.hostile import Fuzzer, Runner
from graphopt.testing.hostile.seeds import light_seeds, own_seeds

FIXED, FRESH = 300, 100
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files are tried in forks")


@pytest.mark.parametrize("name", own_seeds())
def test_seeds_are_valid(name: str) -> None:
    load(own_seeds()[name])


def test_networks_of_onnx_are_seeds() -> None:
    assert "light_resnet50" in light_seeds()


def test_files_are_reproducible() -> None:
    one, other = Fuzzer(own_seeds(), 3), Fuzzer(own_seeds(), 3)
    assert [one.file(index) for index in range(50)] == [other.file(index) for index in range(50)]
    assert one.file(0) != Fuzzer(own_seeds(), 4).file(0)


def test_half_of_the_files_are_still_protobufs() -> None:
    """Or the fuzzer would test the parser of protobuf alone."""
    readable = 0
    for index in range(200):
        try:
            onnx.load_from_string(Fuzzer(own_seeds(), 0).file(index).data)
            readable += 1
        except Exception:  # any parser's error
            continue
    assert readable > 100


@on_linux
@pytest.mark.parametrize("count", [FIXED, FRESH], ids=["fixed", "fresh"])
def test_mutants(count: int, pytestconfig: pytest.Config) -> None:
    """The seed of the smaller share follows from `--graphopt-seed`, which is printed."""
    given = pytestconfig.getoption("--graphopt-seed") or "1"
    seed = 0 if count == FIXED else random.Random(given).randrange(1 << 32)
    print(f"seed {seed}")
    fuzzer = Fuzzer(own_seeds(), seed)
    wrong = []
    with Runner(levels=(2,)) as runner:
        for index in range(count):
            mutant = fuzzer.file(index)
            outcome = runner.try_bytes(mutant.data)
            if not outcome.kind.fine:
                wrong.append(f"file {index} of seed {seed} ({mutant.origin}): {outcome}")
    assert not wrong, "\n".join(wrong)
