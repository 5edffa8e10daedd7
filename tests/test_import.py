"""`import graphopt` stays light, and every name it offers can be loaded."""

from __future__ import annotations

import subprocess
import sys

import graphopt

HEAVY = {"torch", "onnxruntime", "rich", "onnx", "onnx_ir", "sympy", "numpy"}


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, graphopt; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split())


def test_what_runs_programs_loads_no_models() -> None:
    code = "import sys; from graphopt.native import Program; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not (HEAVY - {"numpy"}) & set(run.stdout.split())


def test_every_public_name_loads() -> None:
    for name in graphopt.__all__:
        assert getattr(graphopt, name) is not None
        assert name in dir(graphopt)


def test_nothing_but_public_names_is_listed() -> None:
    assert set(dir(graphopt)) == {*graphopt.__all__, "__version__"}


def test_errors_are_reachable() -> None:
    assert issubclass(graphopt.errors.UsageError, graphopt.GraphoptError)


def test_a_submodule_does_not_hide_the_function_of_its_name() -> None:
    code = "import graphopt.cost, graphopt; assert graphopt.cost is graphopt.cost.__globals__['cost']"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version_is_a_string_of_numbers() -> None:
    assert all(part.isdigit() for part in graphopt.__version__.split(".")[:2])


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(graphopt, "no_such_name")
