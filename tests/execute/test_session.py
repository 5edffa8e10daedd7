"""A session runs every kind of model and names what fails."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from graphopt.errors import ExecutionError, LoadError
from graphopt.execute import NodeFailure, Session
from graphopt.testing import parse_model


def model(text: str, *, ir_version: int = 8, opsets: str = '"": 17') -> ir.Model:
    return ir.from_onnx_text(f"<ir_version: {ir_version}, opset_import: [{opsets}]>\n{text}")


def with_initializer(made: ir.Model, name: str, array: np.ndarray[Any, Any]) -> ir.Model:
    """The model with its input `name` turned into an initializer of any type."""
    value = next(value for value in made.graph.inputs if value.name == name)
    value.const_value = ir.tensor(array, name=name)
    made.graph.register_initializer(value)
    made.graph.inputs.remove(value)
    return made


def test_runs_by_name() -> None:
    session = Session(model("g (float[N] x, float[N] y) => (float[N] z) { z = Sub(x, y) }"))
    assert (session.input_names, session.output_names) == (["x", "y"], ["z"])
    result = session.run({"y": np.ones(2, np.float32), "x": np.zeros(2, np.float32)})
    assert result["z"].tolist() == [-1.0, -1.0]


def test_extra_outputs_come_after_the_outputs() -> None:
    session = Session(model("g (float[N] x) => (float[N] z) { y = Neg(x) z = Abs(y) }"), extra_outputs=["y"])
    assert session.output_names == ["z", "y"]
    assert session.run({"x": np.ones(1, np.float32)})["y"].tolist() == [-1.0]


def test_an_unknown_extra_output_is_named() -> None:
    with pytest.raises(ExecutionError, match="'nope'"):
        Session(model("g (float[N] x) => (float[N] z) { z = Abs(x) }"), extra_outputs=["nope"])


def test_observes_shapes_without_returning_the_values() -> None:
    made = model("g (float[N] x) => (float[M] z) { y = Concat<axis=0>(x, x) z = Neg(y) }")
    outputs, shapes = Session(made, observe_shapes=True).run_observed({"x": np.ones(3, np.float32)})
    assert list(outputs) == ["z"]
    assert shapes == {"x": (3,), "y": (6,), "z": (6,)}


def test_observing_shapes_passes_over_sequences() -> None:
    made = model(
        "g (float[N] x) => (float[M] z) { s = SequenceConstruct(x, x) z = ConcatFromSequence<axis=0>(s) }"
    )
    _, shapes = Session(made, observe_shapes=True).run_observed({"x": np.ones(3, np.float32)})
    assert shapes == {"x": (3,), "z": (6,)}


@pytest.mark.parametrize(
    "dtype",
    [np.float32, np.float64, np.float16, np.int8, np.int64, np.uint16, np.bool_,
     ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4, ml_dtypes.uint4],
)  # fmt: skip
@pytest.mark.parametrize("size", [6, 4096])
@pytest.mark.parametrize("optimize", [False, True])
def test_weights_of_every_type_arrive(dtype: Any, size: int, optimize: bool) -> None:
    numbers = np.arange(size) % 2
    type_name = ir.DataType.from_numpy(np.dtype(dtype)).name.lower()
    made = model(
        f"g ({type_name}[{size}] w, float[{size}] x) => (float[{size}] y) "
        "{ v = Cast<to=1>(w) y = Add(v, x) }",
        ir_version=10,
        opsets='"": 21',
    )
    made = with_initializer(made, "w", numbers.astype(dtype))
    result = Session(made, optimize=optimize).run({"x": np.zeros(size, np.float32)})
    assert np.array_equal(result["y"], numbers.astype(np.float32))


def test_string_weights_arrive() -> None:
    made = model(
        "g (string[2] w, string[2] x) => (bool[2] y) { y = Equal(w, x) }", ir_version=9, opsets='"": 19'
    )
    made = with_initializer(made, "w", np.array(["a", "b"], dtype=object))
    assert Session(made).run({"x": np.array(["a", "c"], object)})["y"].tolist() == [True, False]


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4])
def test_outputs_and_inputs_of_types_numpy_lacks(dtype: Any) -> None:
    type_name = ir.DataType.from_numpy(np.dtype(dtype)).name.lower()
    to = ir.DataType.from_numpy(np.dtype(dtype)).value
    made = model(
        f"g ({type_name}[N] x) => ({type_name}[N] y) {{ f = Cast<to=1>(x) y = Cast<to={to}>(f) }}",
        ir_version=10,
        opsets='"": 21',
    )
    given = np.array([1, 2, -3], np.float32).astype(dtype)
    result = Session(made).run({"x": given})["y"]
    assert result.dtype == dtype
    assert np.array_equal(result, given)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.dtype(np.float32).newbyteorder("<")])
def test_a_scalar_stays_a_scalar(dtype: Any) -> None:
    """onnxruntime takes an array of another rank where a scalar is declared, and computes with that."""
    name = "bfloat16" if dtype is ml_dtypes.bfloat16 else "float"
    text = f"agraph ({name} x) => (int64[n] shape) {{ shape = Shape(x) }}"
    result = Session(parse_model(text)).run({"x": np.array(1.0).astype(dtype)})
    assert result["shape"].shape == (0,)


def test_a_large_constant_node_is_handed_over_like_an_initializer() -> None:
    made = model("g (float[1024] x) => (float[1024] y) { w = Constant<value=float[1] {1}>() y = Add(x, w) }")
    node = made.graph[0]
    node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.arange(1024, dtype=np.float32)))
    assert Session(made).run({"x": np.zeros(1024, np.float32)})["y"][1023] == 1023


def test_initializers_that_are_inputs_are_optional_and_can_be_overridden() -> None:
    made = model("g (float[512] x, float[512] w = {0}) => (float[512] y) { y = Add(x, w) }")
    value = made.graph.inputs[1]
    value.const_value = ir.tensor(np.ones(512, np.float32), name="w")
    made.graph.register_initializer(value)
    session = Session(made)
    zeros = np.zeros(512, np.float32)
    assert session.input_names == ["x"]
    assert session.run({"x": zeros})["y"][0] == 1
    assert session.run({"x": zeros, "w": zeros + 5})["y"][0] == 5


def test_large_initializers_of_branches() -> None:
    made = model(
        """g (bool c, float[512] x) => (float[512] y) {
             y = If(c) <then_branch = a () => (float[512] p) { p = Add(x, w) },
                        else_branch = b () => (float[512] q) { q = Sub(x, w) }>
           }"""
        .replace("(x, w)", "(x, x)")
    )  # fmt: skip
    for name, offset in (("then_branch", 1.0), ("else_branch", 2.0)):
        graph = made.graph[0].attributes[name].as_graph()
        value = ir.Value(name="w", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([512]))
        value.const_value = ir.tensor(np.full(512, offset, np.float32), name="w")
        graph.register_initializer(value)
        graph[0].replace_input_with(1, value)
    session = Session(made)
    zeros = np.zeros(512, np.float32)
    assert session.run({"c": np.array(True), "x": zeros})["y"][0] == 1
    assert session.run({"c": np.array(False), "x": zeros})["y"][0] == -2


def test_the_model_is_not_changed() -> None:
    made = model("g (float[512] w, float[512] x) => (float[512] y) { y = Add(w, x) }")
    made = with_initializer(made, "w", np.ones(512, np.float32))
    before = ir.to_proto(made).SerializeToString()
    tensor = made.graph.initializers["w"].const_value
    Session(made).run({"x": np.ones(512, np.float32)})
    assert ir.to_proto(made).SerializeToString() == before
    assert made.graph.initializers["w"].const_value is tensor


def test_sequences_and_optionals() -> None:
    join = Session(model("g (seq(float[N]) s) => (float[M] y) { y = ConcatFromSequence<axis=0>(s) }"))
    assert join.run({"s": [np.ones(1, np.float32), np.ones(2, np.float32)]})["y"].shape == (3,)
    has = Session(
        model("g (optional(float[N]) o) => (bool y) { y = OptionalHasElement(o) }", opsets='"": 18')
    )
    assert not has.run({"o": None})["y"]
    assert has.run({"o": np.ones(1, np.float32)})["y"]


def test_functions_run() -> None:
    made = model(
        """g (float[N] x) => (float[N] y) { y = my.twice(x) }
           <domain: "my", opset_import: ["": 17]> twice (a) => (b) { b = Add(a, a) }""",
        opsets='"": 17, "my": 1',
    )
    assert Session(made).run({"x": np.ones(1, np.float32)})["y"].tolist() == [2.0]


def test_an_operator_of_another_runtime_is_named() -> None:
    made = model("g (float[N] x) => (float[N] y) { y = other.Magic(x) }", opsets='"": 17, "other": 1')
    with pytest.raises(ExecutionError, match=r"other:Magic.*not a registered") as caught:
        Session(made)
    assert caught.value.hint is not None


def test_a_failing_node_is_named_and_placed() -> None:
    made = model("g (float[N] x, float[M] y) => (float[K] z) { a = Neg(x) z = Add(a, y) }")
    with pytest.raises(NodeFailure, match="Add node writing 'z'") as caught:
        Session(made).run({"x": np.ones(2, np.float32), "y": np.ones(3, np.float32)})
    assert caught.value.position == 1


def test_a_missing_input_is_named() -> None:
    with pytest.raises(ExecutionError, match="'x' was not given"):
        Session(model("g (float[N] x) => (float[N] z) { z = Abs(x) }")).run({})


def test_falls_back_to_the_reference_evaluator() -> None:
    # onnxruntime has no bfloat16 Erf on the CPU.
    made = model("g (bfloat16[N] x) => (bfloat16[N] y) { y = Erf(x) }")
    session = Session(made)
    assert session.backend == "onnx.reference"
    assert session.run({"x": np.zeros(2, ml_dtypes.bfloat16)})["y"].shape == (2,)


def test_a_newer_ir_version_is_read_all_the_same() -> None:
    made = model("g (float[N] x) => (float[N] z) { z = Abs(x) }")
    made.ir_version = 99
    assert Session(made).run({"x": -np.ones(1, np.float32)})["z"].tolist() == [1.0]
    assert made.ir_version == 99


def test_a_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    ir.save(model("g (float[N] x) => (float[N] z) { z = Abs(x) }"), path)
    assert Session(path).input_names == ["x"]
    path.write_bytes(b"not a model")
    with pytest.raises(LoadError, match=r"m\.onnx"):
        Session(path)


@pytest.mark.parametrize(("type_name", "left_out"), [("float16", ["NchwcTransformer"]), ("float", [])])
def test_blocked_layouts_stay_off_where_a_conv_is_half_precision(
    type_name: str, left_out: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They end the process on some models."""
    opened = []
    real = onnxruntime.InferenceSession

    def spy(*args: Any, **options: Any) -> Any:
        opened.append(options["disabled_optimizers"])
        return real(*args, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    conv = ir.from_onnx_text(f"""<ir_version: 8, opset_import: ["": 17]>
        main ({type_name}[1,1,4,4] x) => ({type_name}[1,1,4,4] y)
        <{type_name}[1,1,1,1] w = {{1}}> {{ y = Conv(x, w) }}""")
    Session(conv, optimize=True)
    assert opened == [left_out]


def test_threads_rest_between_runs() -> None:
    product = model("g (float[512,512] x) => (float[512,512] y) { y = MatMul(x, x) }")
    session = Session(product, threads=2)
    x = np.ones((512, 512), np.float32)
    for _ in range(3):
        session.run({"x": x})
    begun = time.process_time()
    time.sleep(0.05)
    assert time.process_time() - begun < 0.02
