"""A plan for each binding of the free dimensions, made once."""

from __future__ import annotations

from graphopt.cost.dims import Dims
from graphopt.ir import infer_shapes
from graphopt.memory.plans import Plans
from graphopt.testing import parse_model


def test_each_binding_has_a_plan_of_its_own_that_is_kept() -> None:
    model = parse_model("g (float[N, 16] x) => (float[N, 16] y) { a = Relu(x) y = Softmax(a) }")
    infer_shapes(model)
    plans = Plans(model.graph, lambda sizes: Dims(model, sizes).known_shape)
    assert plans.at(N=1).arena == 128 and plans.at(N=4).arena == 512
    assert plans.at(N=1) is plans.at(N=1)
