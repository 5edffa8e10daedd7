"""Every way to write an idiom: what it says of itself holds, from the oldest opset on that it names."""

from __future__ import annotations

import numpy as np
import onnx.defs
import onnx_ir as ir
import pytest

from graphopt.execute.session import Session
from graphopt.idioms import POINTWISE, Found
from graphopt.ir import Changes, Tape, infer_shapes, op, rewrite, rule, var
from graphopt.passes.idioms._forms import FORMS, Form
from graphopt.testing import parse_model

REFERENCES = {idiom.name: idiom for idiom in POINTWISE}
PARAMETERS = [
    {"alpha": 1.0, "beta": 1.0, "low": -1.0, "high": 2.5},
    {"alpha": 0.25, "beta": 0.5, "low": -np.inf, "high": 2.5},
    {"alpha": 0.25, "beta": 0.5, "low": -1.0, "high": np.inf},
]
CASES = [
    pytest.param(name, form, parameters, id=f"{name}-{form.name}-{number}")
    for name, forms in FORMS.items()
    for form in forms
    for number, parameters in enumerate(PARAMETERS)
]
BROADCASTING_OPSET = 7
"""Since then a product broadcasts its operands, as one by a constant needs."""
X = np.linspace(-9, 9, 37)


def found(name: str, parameters: dict[str, float]) -> Found:
    """As the recognizer gives it: with the parameters of the idiom alone."""
    idiom = REFERENCES[name]
    used = {key: value for key, value in parameters.items() if key in idiom_parameters(name)}
    return Found(idiom, used, 1.0, 0.0)


def idiom_parameters(name: str) -> tuple[str, ...]:
    """Attributes of the operator that an idiom is called after."""
    named: dict[str, tuple[str, ...]] = {
        "Clip": ("low", "high"),
        "Selu": (),
        "Sigmoid": ("alpha",),
        "Softplus": ("beta",),
        "Swish": ("alpha",),
    }
    if name in named:
        return named[name]
    operator = name.partition(" ")[0]
    return tuple(key for key in ("alpha", "beta") if key in onnx.defs.get_schema(operator).attributes)


def written(name: str, form: Form, parameters: dict[str, float], opset: int, dtype: str) -> ir.Model:
    """A model that computes an idiom by one of its forms."""

    @rule(op("Identity", var("x")))
    def write(tape: Tape, x: ir.Value) -> ir.Value:
        return form.build(tape, x, found(name, parameters))

    model = parse_model(f"g ({dtype}[37] x) => ({dtype}[37] z) {{ y = Identity(x) z = Abs(y) }}", opset=opset)
    infer_shapes(model)
    rewrite(model, [write], Changes())
    return model


@pytest.mark.parametrize(("name", "form", "parameters"), CASES)
def test_a_form_is_what_it_says(name: str, form: Form, parameters: dict[str, float]) -> None:
    if not form.applies(found(name, parameters)):
        assert len(FORMS[name]) > 1
        return
    model = written(name, form, parameters, max(form.since, 7), "float")
    operators = [node.op_type for node in model.graph][:-1]
    assert sorted(operators) == sorted(form.name.partition(" (")[0].split(" "))
    assert len(operators) == form.nodes
    (result,) = Session(model).run({"x": X.astype(np.float32)}).values()
    with np.errstate(over="ignore"):
        expected = np.abs(REFERENCES[name].reference(X, found(name, parameters).parameters))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, forms in FORMS.items() for form in forms])
def test_the_oldest_opset_is_that_of_the_operators(name: str, form: Form) -> None:
    operators = form.name.partition(" (")[0].split(" ")
    first, plain = (max(first_version(each, old=old) for each in operators) for old in (True, False))
    broadcasts = BROADCASTING_OPSET if "Mul" in operators and form.since > 6 else 1
    assert form.since in (max(first, broadcasts), max(plain, broadcasts))
    assert form.until is None or form.until >= form.since


def first_version(operator: str, *, old: bool) -> int:
    """The first opset with an operator; unless `old`, without the attribute `consumed_inputs`."""
    for version in range(1, 25):
        if onnx.defs.has(operator, max_inclusive_version=version):
            attributes = onnx.defs.get_schema(operator, version, "").attributes
            if old or "consumed_inputs" not in attributes:
                return version
    raise AssertionError(operator)


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, forms in FORMS.items() for form in forms])
def test_the_runtime_runs_it_in_double_where_it_says_so(name: str, form: Form) -> None:
    oldest = form.oldest_opset(ir.DataType.DOUBLE)
    parameters = next((each for each in PARAMETERS if form.applies(found(name, each))), PARAMETERS[0])
    model = written(name, form, parameters, max(oldest or 24, form.since, 7), "double")
    if oldest is None:
        return
    (result,) = Session(model).run({"x": X}).values()
    expected = np.abs(REFERENCES[name].reference(X, found(name, parameters).parameters))
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "dtype", "oldest"),
    [
        ("Relu", ir.DataType.FLOAT, 1),
        ("Relu", ir.DataType.FLOAT16, 1),
        ("Relu", ir.DataType.BFLOAT16, 13),
        ("Gelu", ir.DataType.BFLOAT16, 20),
        ("Celu", ir.DataType.FLOAT16, None),
        ("Celu", ir.DataType.DOUBLE, None),
        ("Clip", ir.DataType.DOUBLE, 12),
        ("Softsign", ir.DataType.BFLOAT16, 22),
    ],
)
def test_the_oldest_opset_of_other_types(name: str, dtype: ir.DataType, oldest: int | None) -> None:
    assert FORMS[name][0].oldest_opset(dtype) == oldest
