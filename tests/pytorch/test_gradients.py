"""Graph modules train as the modules they were made from: same names, same gradients, same losses."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import graphopt
from graphopt.pytorch import to_fx, trace

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
networks: Any = importlib.import_module("networks")
zoo: Any = importlib.import_module("zoo")

TOLERANCE = 1e-4
"""Largest difference of gradients, relative to the root mean square of the gradient."""
CANCELLED = 1e-2
"""Gradients smaller than this share of the largest are measured against this share of it."""
TRAINED = ("resnet-basic", "convnext", "gru-tagger", "llama")
OPTIMIZED = ("mobilenet-v3", "vit", "lstm-tagger", "encoder", "llama")
ZOO = ("ppocr-cls", "silero-vad", "magika", "light_squeezenet", "light_shufflenet")


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


def graph_module(case: Any, module: Any) -> Any:
    return to_fx(trace(module, case.inputs(), case.dynamic_shapes, check=False))


def arguments(case: Any) -> list[Any]:
    """Positional arguments, whose floats ask for gradients."""
    made = case.inputs().values()
    return [each.requires_grad_() if each.is_floating_point() else each for each in made]


def loss_of(outputs: Any) -> Any:
    """The sum of all float outputs, each element with a weight of its own."""
    generator = torch.Generator().manual_seed(1)
    leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(outputs) if leaf.is_floating_point()]
    return sum((leaf * torch.randn(leaf.shape, generator=generator)).sum() for leaf in leaves)


def input_gradients(module: Any, inputs: Sequence[Any]) -> dict[str, Any]:
    """Gradients of the float inputs, by position; parameters keep theirs in `grad`."""
    for each in inputs:
        each.grad = None
    module.zero_grad()
    loss_of(module(*inputs)).backward()
    return {f"input {index}": each.grad for index, each in enumerate(inputs) if each.requires_grad}


def gradients(module: Any, inputs: Sequence[Any]) -> dict[str, Any]:
    """Gradients of the parameters by name and of the float inputs."""
    of_inputs = input_gradients(module, inputs)
    return {**of_inputs, **{name: each.grad for name, each in module.named_parameters()}}


def assert_same_gradients(expected: dict[str, Any], actual: dict[str, Any]) -> None:
    """Where terms cancel out, as for a bias before a norm, a gradient is the rounding of the others."""
    assert actual.keys() == expected.keys()
    sizes = {name: float(gradient.square().mean().sqrt()) for name, gradient in expected.items()}
    for name, gradient in expected.items():
        assert actual[name] is not None, f"{name} has no gradient"
        scale = max(sizes[name], CANCELLED * max(sizes.values()))
        worst = float((actual[name] - gradient).abs().max()) / scale
        assert worst <= TOLERANCE, f"{name}: {worst:.1e} of its root mean square {sizes[name]:.1e}"


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_gradients_are_the_modules_own(name: str) -> None:
    case = case_of(name)
    module = case.module()
    graph = graph_module(case, module)
    inputs = arguments(case)
    expected = gradients(module, inputs)
    assert_same_gradients(expected, gradients(graph, inputs))


@pytest.mark.parametrize("name", TRAINED)
def test_training_steps_give_the_same_losses(name: str) -> None:
    case = case_of(name)
    module = case.module()
    losses: list[list[float]] = []
    for each in (graph_module(case, module), module):
        optimizer = torch.optim.SGD(each.parameters(), lr=1e-3, momentum=0.9)
        losses.append([])
        for _ in range(4):
            optimizer.zero_grad()
            outputs = torch.utils._pytree.tree_leaves(each(*case.inputs().values()))
            loss = sum(leaf.square().mean() for leaf in outputs)
            loss.backward()
            optimizer.step()
            losses[-1].append(float(loss.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCE)
    assert losses[1][-1] < losses[1][0]


@pytest.mark.parametrize("name", OPTIMIZED)
def test_gradients_flow_through_the_optimized_graph(name: str) -> None:
    case = case_of(name)
    module = case.module()
    graph = graphopt.optimize(
        module, case.inputs(), dynamic_shapes=case.dynamic_shapes, emit="fx", check=False, measure=False
    ).model
    inputs = arguments(case)
    assert_same_gradients(input_gradients(module, inputs), input_gradients(graph, inputs))
    without = [name for name, each in graph.named_parameters() if each.grad is None]
    assert not without
    assert any(float(each.grad.abs().max()) > 0 for each in graph.parameters())


@pytest.mark.parametrize("name", ZOO)
def test_every_parameter_of_a_model_gets_a_finite_gradient(name: str) -> None:
    entry = zoo.ZOO[name]
    path = entry.path() if name.startswith("light_") else zoo.cache() / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{name} is not in the zoo's cache: python benchmarks/zoo.py {name}")
    graph = to_fx(path)
    names = [node.target for node in graph.graph.nodes if node.op == "placeholder"]
    seen: set[str] = set()
    for feed in entry.inputs():
        graph.zero_grad()
        loss_of(graph(*(torch.from_numpy(array) for array in feed.values()))).backward()
        for parameter, each in graph.named_parameters():
            if each.grad is not None:
                assert torch.isfinite(each.grad).all(), parameter
                seen.add(parameter)
    assert len(names) == len(entry.inputs()[0])
    assert seen == {parameter for parameter, _ in graph.named_parameters()}
