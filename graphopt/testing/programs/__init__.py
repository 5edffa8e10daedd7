"""Random programs for graphopt's engine, with inputs: networks of its operators in every wiring.

Made for the engine's tests: values with several readers, parts of what is joined, chains that run in place,
views, outputs in the middle, values computed for nothing. Knows what each operator takes; computes nothing.
"""

from __future__ import annotations

import numpy as np

from graphopt.native import Program
from graphopt.testing.programs import elementwise, moves, products, rows, windows
from graphopt.testing.programs.maker import Array, Maker, Recipe, Value

RECIPES: dict[str, Recipe] = {
    **elementwise.RECIPES,
    **moves.RECIPES,
    **products.RECIPES,
    **rows.RECIPES,
    **windows.RECIPES,
}
"""How a step is made, by its kind."""


def random_program(seed: int, steps: int = 12) -> tuple[Program, list[Array]]:
    """Return a program of about so many steps, and inputs it takes.

    Args:
        seed: Programs of one seed are the same.
        steps: That are tried; the program has no more.
    """
    maker = Maker(np.random.default_rng(seed))
    count = 1 + maker.below(2)
    shape = (count, 1 + maker.below(6), 1 + maker.below(6), int(maker.rng.choice((1, 3, 4, 8, 16))))
    inputs = []
    for name, kind in (("x", maker.codes_type()), ("f", "f32")):
        number = maker.builder.input(name, kind, ["batch", *shape[1:]])
        maker.values.append(Value(number, kind, shape))
        inputs.append(maker.array(kind, shape))
    order = sorted(RECIPES)
    for _ in range(steps):
        RECIPES[order[maker.below(len(order))]](maker)
    made = maker.values[len(inputs) :]
    outputs = {made[-1].number} if made else set()
    outputs |= {value.number for value in maker.values if maker.chance(0.1)}
    for number in sorted(outputs):
        maker.builder.output(number, f"y{number}")
    return Program(maker.builder.build()), inputs
