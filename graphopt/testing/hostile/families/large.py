"""Graphs of very many nodes, very many readers of one value, very many inputs of one node."""

from __future__ import annotations

from collections.abc import Iterator

from graphopt.testing.hostile.build import data, model, node, value
from graphopt.testing.hostile.case import Case

COUNT = 5_000


def cases(count: int = COUNT) -> Iterator[Case]:
    """Graphs of about so many nodes."""
    chain = [node("Sin" if index % 2 else "Cos", [f"t{index}"], [f"t{index + 1}"]) for index in range(count)]
    yield Case("chain", data(model([*chain, node("Neg", [f"t{count}"], ["y"])], [value("t0")])))
    negations = [node("Neg", [f"t{index}"], [f"t{index + 1}"]) for index in range(count)]
    yield Case(
        "chain-of-inverses", data(model([*negations, node("Abs", [f"t{count}"], ["y"])], [value("t0")]))
    )
    backwards = [*reversed(chain), node("Neg", [f"t{count}"], ["y"])]
    yield Case("chain-backwards", data(model(backwards, [value("t0")])))
    fan = [node("Sin", ["x"], [f"t{index}"], name=f"n{index}") for index in range(count)]
    names = [f"t{index}" for index in range(count)]
    yield Case("fan-of-equals", data(model([*fan, node("Sum", names)])))
    different = [node("Elu", ["x"], [f"t{index}"], alpha=float(index)) for index in range(count)]
    yield Case("fan", data(model([*different, node("Sum", names)])))
    yield Case(
        "wide-concat",
        data(model([*different, node("Concat", names, axis=0)], outputs=[value("y", (2 * count,))])),
    )
    dead = [node("Sin", ["x"], [f"t{index}"]) for index in range(count)]
    yield Case("dead", data(model([*dead, node("Neg")])))
    yield Case("inputs", data(model([node("Sum", names)], [value(name) for name in names])))
    outputs = [value(name) for name in names]
    yield Case("outputs", data(model(different, outputs=outputs)))
    transposes = [node("Transpose", [f"t{index}"], [f"t{index + 1}"], perm=[1, 0]) for index in range(count)]
    square = (2, 2)
    tail = node("Neg", [f"t{count}"], ["y"])
    yield Case("transposes", data(model([*transposes, tail], [value("t0", square)], [value("y", square)])))
    sums = [node("Add", [f"t{index}", f"t{index}"], [f"t{index + 1}"]) for index in range(count)]
    yield Case("sums", data(model([*sums, tail], [value("t0")])))
    ladder = [
        node("Add", [f"t{index}", f"t{max(0, index - 1)}"], [f"t{index + 1}"]) for index in range(count)
    ]
    yield Case("ladder", data(model([*ladder, tail], [value("t0")])))
