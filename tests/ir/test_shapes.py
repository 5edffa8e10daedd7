"""Shape inference: premises, odd names, and claims that a real run refutes."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.ir import (
    adopt_shapes,
    drop_false_shapes,
    infer_node,
    infer_shapes,
    outdate_shapes,
    refresh_shapes,
    same_shape,
    static_shape,
    symbolic_value,
)
from graphopt.testing import parse_model


def values(model: ir.Model) -> dict[str, ir.Value]:
    return {value.name: value for node in model.graph for value in node.outputs if value.name}


@pytest.mark.parametrize("name", ["?", "-1", "", "p2o.Dim.0", "a b", "1"])
def test_odd_dimension_names_do_no_harm(name: str) -> None:
    model = parse_model("g (float[N,3] x) => (y) { y = Relu(x) }")
    model.graph.inputs[0].shape = ir.Shape([name or None, 3])
    assert infer_shapes(model).errors == []
    assert same_shape(model.graph.inputs[0].shape, model.graph.outputs[0].shape)


def test_unnamed_dimensions_are_independent_and_named_ones_equal() -> None:
    model = parse_model("g (float[N] a, float[N] b, float[M] c) => (y) { t = Neg(a) u = Neg(b) y = Neg(c) }")
    infer_shapes(model)
    found = values(model)
    assert same_shape(found["t"].shape, found["u"].shape)
    assert not same_shape(found["t"].shape, found["y"].shape)
    model.graph.inputs[0].shape = ir.Shape([None])
    model.graph.inputs[1].shape = ir.Shape([None])
    infer_shapes(model)
    assert not same_shape(found["t"].shape, found["u"].shape)


def test_declared_shapes_of_inner_values_and_outputs_are_not_believed() -> None:
    model = parse_model("g (float[N,3] x) => (float[1] y) { y = Relu(x) }")
    infer_shapes(model)
    assert str(model.graph.outputs[0].shape) == "[N,3]"


def test_elements_of_shape_vectors_are_known() -> None:
    model = parse_model("g (float[N,3] x) => (int64[2] s) { s = Shape(x) }")
    infer_shapes(model)
    assert [str(element) for element in symbolic_value(model.graph.outputs[0]) or []] == ["N", "3"]


def test_elements_of_a_matrix_are_known_where_it_is_turned_and_sliced() -> None:
    model = parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (float[a,b] y)
            <int64[4] given = {0,3,1,0}, int64[2] rows = {2,2}, int64[1] flat = {-1}, int64[1] last = {-1},
            int64[1] least = {-9223372036854775807}, int64[1] first = {0}> {
            pairs = Reshape(given, rows) back = Slice(pairs, last, least, first, last)
            turned = Transpose<perm = [1,0]>(back) pads = Reshape(turned, flat) y = Pad(x, pads) }"""
    )
    infer_shapes(model)
    assert symbolic_value(values(model)["back"]) == [1, 0, 0, 3]
    assert symbolic_value(values(model)["pads"]) == [1, 0, 0, 3]
    assert static_shape(values(model)["y"]) == (3, 6)


def test_a_default_is_no_fact_about_shapes() -> None:
    text = "g (float[N,3] x, int64[1] s) => (y) <int64[1] s = {6}> { y = Reshape(x, s) }"
    model = parse_model(text)
    infer_shapes(model)
    assert static_shape(model.graph.outputs[0]) is None
    assert model.graph.inputs[1].const_value is not None


def test_claims_that_a_run_refutes_are_dropped() -> None:
    model = parse_model("g (float[2,3] x) => (y) { t = Relu(x) y = Neg(t) }")
    infer_shapes(model)
    messages = drop_false_shapes(model, {"t": [(2, 3)], "y": [(4, 3)]})
    assert messages == ["y: inferred shape [2,3], real shape [4, 3]"]
    infer_shapes(model)
    found = values(model)
    assert found["y"].shape is None
    assert static_shape(found["t"]) == (2, 3)


def test_a_dimension_with_two_sizes_in_one_run_is_dropped_everywhere() -> None:
    model = parse_model("g (float[N] x, float[N] z) => (y) { t = Relu(x) y = Neg(z) }")
    infer_shapes(model)
    drop_false_shapes(model, {"t": [(2,), (3,)], "y": [(2,), (4,)]})
    assert values(model)["t"].shape is None


def test_shapes_are_inferred_again_only_after_a_change() -> None:
    model = parse_model("g (float[N,3] x) => (y) { t = Relu(x) y = Neg(t) }")
    infer_shapes(model)
    t = values(model)["t"]
    t.shape = ir.Shape(["M", 3])
    refresh_shapes(model)
    assert str(t.shape) == "[M,3]"
    outdate_shapes(model)
    refresh_shapes(model)
    assert str(t.shape) == "[N,3]"


def test_refuted_shapes_are_inferred_again_in_a_clone() -> None:
    model = parse_model("g (float[N] x) => (y) { t = Relu(x) u = Neg(t) y = Abs(u) }")
    infer_shapes(model)
    drop_false_shapes(model, {"t": [(2, 2)]})
    clone = model.clone()
    adopt_shapes(clone, model)
    refresh_shapes(clone)
    assert values(clone)["u"].shape is None


def test_a_clone_goes_on_with_inherited_shapes() -> None:
    model = parse_model("g (float[N,3] x) => (y) { s = Shape(x) y = Neg(x) }")
    infer_shapes(model)
    clone = model.clone()
    adopt_shapes(clone, model)
    one = ir.val("one", dtype=ir.DataType.FLOAT, shape=[1])
    made = ir.node("Expand", [one, clone.graph[0].outputs[0]])
    infer_node(clone, made)
    assert str(made.outputs[0].shape) == "[N,3]"


def test_a_loop_carried_value_may_change_its_shape() -> None:
    model = parse_model("""g (int64 n, bool c, float[2] x) => (y) {
    y = Loop(n, c, x) <body = b (int64 i, bool go, float[2] acc) => (bool more, float[K] grown) {
        more = Identity(go) grown = Concat<axis = 0>(acc, x) }> }""")
    assert infer_shapes(model).errors == []
    assert static_shape(model.graph.outputs[0]) is None


@pytest.mark.parametrize(("start", "step"), [(0, 1), (2, 1), (0, 2), (2, 2), (-3, 1)])
def test_a_slice_to_a_huge_end_is_whole_only_from_the_start_and_without_gaps(start: int, step: int) -> None:
    model = parse_model(f"""g (float[N,2] x) => (y)
        <int64[1] start = {{{start}}}, int64[1] end = {{{1 << 62}}},
         int64[1] axis = {{0}}, int64[1] step = {{{step}}}> {{ y = Slice(x, start, end, axis, step) }}""")
    infer_shapes(model)
    shape = model.graph.outputs[0].shape
    assert shape is not None
    assert (str(shape) == "[N,2]") == (start == 0 and step == 1)


@pytest.mark.parametrize(("shape", "known"), [("2,3", True), ("1,3", False), ("N,3", False)])
def test_a_squeeze_of_no_axes_may_squeeze_all(shape: str, known: bool) -> None:
    model = parse_model(f"g (float[{shape}] x) => (y) <int64[0] none = {{}}> {{ y = Squeeze(x, none) }}")
    infer_shapes(model)
    assert (model.graph.outputs[0].shape is not None) == known


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ("starts = [1], ends = [-1], axes = [1]", "[N,2]"),
        ("starts = [0, 2], ends = [4294967296, 9]", "[N,2]"),
        ("starts = [-3], ends = [9], axes = [-1]", "[N,3]"),
        ("starts = [3], ends = [1], axes = [1]", "[N,0]"),
    ],
)
def test_a_slice_with_bounds_in_attributes(attributes: str, shape: str) -> None:
    model = parse_model(f"g (float[N,4] x) => (y) {{ y = Slice <{attributes}> (x) }}", opset=9)
    infer_shapes(model)
    assert str(model.graph.outputs[0].shape) == shape


def test_a_part_of_a_named_dimension_has_a_length_of_its_own() -> None:
    model = parse_model("g (float[N] x) => (y) { y = Slice <starts = [1], ends = [5]> (x) }", opset=9)
    infer_shapes(model)
    assert str(model.graph.outputs[0].shape) != "[N]"


def test_elements_of_a_shape_sliced_by_attributes() -> None:
    model = parse_model(
        "g (float[N,4,5] x) => (y) { s = Shape(x) y = Slice <starts = [1], ends = [3]> (s) }", opset=9
    )
    infer_shapes(model)
    assert symbolic_value(model.graph.outputs[0]) == [4, 5]


@pytest.mark.parametrize(
    ("operands", "shape"),
    [
        ("float[N,4] a, float[N,4] b", "[N,4]"),
        ("float[N,4] a, float b", "[N,4]"),
        ("float[1,1] a, float[N,4] b", "[N,4]"),
        ("float[1,1,1] a, float[N,4] b", "[1,N,4]"),
        ("float[4] a, float[N,4] b", "[N,4]"),
        ("float[N,1] a, float[N,4] b", "[N,4]"),
    ],
)
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow"])
def test_arithmetic_of_floats(op: str, operands: str, shape: str) -> None:
    model = parse_model(f"g ({operands}) => (y) {{ y = {op}(a, b) }}")
    infer_shapes(model)
    y = model.graph.outputs[0]
    assert (str(y.shape), y.dtype) == (shape, ir.DataType.FLOAT)


def test_two_names_that_broadcast_are_neither() -> None:
    model = parse_model("g (float[N] a, float[M] b) => (y) { y = Add(a, b) }")
    infer_shapes(model)
    assert str(model.graph.outputs[0].shape) not in ("[N]", "[M]")


def test_a_constant_of_a_computed_shape_has_that_shape() -> None:
    model = parse_model("""g (float[N,3] x, int64[2] given) => (y, z) {
    s = Shape(x) y = ConstantOfShape(s) z = ConstantOfShape(given) }""")
    infer_shapes(model)
    found = values(model)
    assert str(found["y"].shape) == "[N,3]"
    assert len(found["z"].shape or ()) == 2


def test_features_picked_from_a_vector_make_a_matrix_of_one_row() -> None:
    model = parse_model("""<ir_version: 9, opset_import: ["" : 18, "ai.onnx.ml" : 3]>
    g (float[3] v, float[M,3] x, int64[N,1] i) => (y, z) {
        y = ai.onnx.ml.ArrayFeatureExtractor(v, i) z = ai.onnx.ml.ArrayFeatureExtractor(x, i) }""")
    infer_shapes(model)
    found = values(model)
    assert (str(found["y"].shape), str(found["z"].shape)) == ("[1,N]", "[M,N]")


@pytest.mark.parametrize(
    ("merged", "target", "expected"),
    [
        ("[B*S,12]", "one, three, any", "[1,3,4*B*S]"),
        ("[B*S,12]", "b, s, any", "[B,S,12]"),
        ("[2*B*S,6]", "b, any, twelve", "[B,S,12]"),
        ("[2*B*S,6]", "b, s, any", "[B,S,12]"),
        ("[2*B*S,6]", "any, s, twelve", "[B,S,12]"),
    ],
)
def test_what_a_reshape_infers_of_merged_dimensions(merged: str, target: str, expected: str) -> None:
    columns = merged.strip("]").split(",")[1]
    model = parse_model(
        f"""g (float[B,S,12] x) => (y)
        <int64[2] flat = {{-1, {columns}}}, int64[1] any = {{-1}}, int64[1] one = {{1}},
         int64[1] three = {{3}}, int64[1] twelve = {{12}}> {{
            b = Shape <start = 0, end = 1> (x) s = Shape <start = 1, end = 2> (x)
            m = Reshape(x, flat) shape = Concat <axis = 0> ({target}) y = Reshape(m, shape)
        }}"""
    )
    infer_shapes(model)
    assert str(values(model)["m"].shape) == merged
    assert str(model.graph.outputs[0].shape) == expected


def test_unique_along_an_axis_keeps_the_rank() -> None:
    model = parse_model("g (float[N,5] x) => (y) { y, i = Unique <axis = 1> (x) }")
    infer_shapes(model)
    shape = model.graph.outputs[0].shape
    assert shape is not None and len(shape) == 2 and str(shape[0]) == "N" and shape[1] != 5


def test_unique_along_an_axis_of_a_constant_counts_what_is_there() -> None:
    model = parse_model(
        "g () => (y) { c = Constant <value = int64[1,3,1] {1, -3, 1}> () y = Unique <axis = 1> (c) }"
    )
    infer_shapes(model)
    assert str(model.graph.outputs[0].shape) == "[1,2,1]"


@pytest.mark.parametrize("product", ["QLinearMatMul", "QLinearConv"])
def test_a_quantized_product_is_of_the_type_of_its_zero_point(product: str) -> None:
    """Inside of a function that is not known, as it is not said of what type its inputs are."""
    model = ir.from_onnx_text(
        f"""<ir_version: 8, opset_import: ["" : 12, "f" : 1]>
        g (int8[1,1,4,4] x) => (int8[1,1,4,4] y) <float s = {{1.0}}, int8 z = {{0}}, int8[1,1,4,4] w> {{
            y = f.part(x, s, z, w)
        }}
        <domain: "f", opset_import: ["" : 12]> part (x, s, z, w) => (y) {{
            v = {product}(x, s, z, w, s, z, s, z)  y = Identity(v)
        }}"""
    )
    infer_shapes(model)
    assert all(node.outputs[0].type is None for function in model.functions.values() for node in function)


def test_a_quantized_product_keeps_the_type_that_is_declared() -> None:
    """Where its zero point comes from a function, of which nobody says what type it gives."""
    model = ir.from_onnx_text(
        """<ir_version: 8, opset_import: ["" : 13, "f" : 1]>
        g (int8[3,3] x) => (int8[A,B] y) <float s = {1.0}, int8[3,5] w> {
            z = f.zero()  y = QLinearMatMul(x, s, z, w, s, z, s, z)
        }
        <domain: "f", opset_import: ["" : 13]> zero () => (z) { z = Constant <value = int8 {1}> () }"""
    )
    infer_shapes(model)
    (output,) = model.graph.outputs
    assert output.dtype == ir.DataType.INT8 and str(output.shape) == "[3,5]"


@pytest.mark.parametrize(
    ("nodes", "rank"),
    [
        ("y = ReduceSum (x, k)", 3),
        ("y = ReduceSum <keepdims = 0> (x, k)", None),
        ("y, z = Split <axis = 1> (x, k)", 3),
        ("y = Slice (x, one, one, k)", 3),
        ("y = Slice (x, one, one, one, k)", 3),
        ("y = Compress <axis = 1> (x, b)", 3),
    ],
)
def test_computed_axes_and_sizes_leave_dimensions_open(nodes: str, rank: int | None) -> None:
    model = parse_model(
        f"g (float[4,4,4] x, int64[K] k, bool[B] b) => (y) <int64[1] one = {{1}}> {{ {nodes} }}"
    )
    infer_shapes(model)
    shape = model.graph.outputs[0].shape
    assert (None if shape is None else len(shape)) == rank
    assert shape is None or not isinstance(shape[1], int)


@pytest.mark.parametrize(
    ("start", "end", "step", "length"),
    [(-9, -99, -2, 1), (-9, 2, 1, 2), (9, -99, -1, 4), (-1, 0, -2, 2), (3, 1, 1, 0), (5, 9, 1, 0)],
)
def test_the_length_of_a_slice(start: int, end: int, step: int, length: int) -> None:
    model = parse_model(
        "g (float[4] x) => (y) "
        f"<int64[1] s = {{{start}}}, int64[1] e = {{{end}}}, int64[1] a = {{0}}, int64[1] t = {{{step}}}> "
        "{ y = Slice (x, s, e, a, t) }"
    )
    infer_shapes(model)
    assert static_shape(model.graph.outputs[0]) == (length,)


def test_a_window_wider_than_its_input_leaves_the_size_open() -> None:
    model = parse_model("g (float[1,1,1] x) => (y) { y = LpPool <kernel_shape = [2], strides = [2]> (x) }")
    infer_shapes(model)
    shape = model.graph.outputs[0].shape
    assert shape is not None and not isinstance(shape[2], int)


@pytest.mark.parametrize(("opset", "known"), [(17, False), (22, True)])
@pytest.mark.parametrize("pool", ["MaxPool", "AveragePool"])
def test_a_window_behind_the_end_leaves_the_size_open_where_the_standard_counts_it(
    pool: str, opset: int, known: bool
) -> None:
    model = parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]> g (float[1,1,2] x) => (y)
        {{ y = {pool} <kernel_shape = [1], strides = [2], ceil_mode = 1> (x) }}"""
    )
    infer_shapes(model)
    shape = model.graph.outputs[0].shape
    assert shape is not None and isinstance(shape[2], int) == known


def test_a_type_without_elements_is_none() -> None:
    model = parse_model(
        """<ir_version: 9, opset_import: ["" : 18, "f" : 1]>
        g (float[2] x, int64 i) => (float[2] y) { y = f.pick (x, i) }
        <domain: "f", opset_import: ["" : 18]> pick (a, k) => (b)
        { s = SequenceConstruct (a, a) b = SequenceAt (s, k) }"""
    )
    infer_shapes(model)
    (function,) = model.functions.values()
    assert [node.outputs[0].type for node in function] == [None, None]
    assert ir.to_proto(model)


def test_a_type_follows_from_the_schema_where_a_rule_gives_up() -> None:
    model = parse_model("g (float[1,1,1] x, int64[2] p, int64[1] a) => (y) { y = Pad (x, p, , a) }", opset=20)
    model.graph.outputs[0].type = None
    infer_shapes(model)
    assert model.graph.outputs[0].dtype == ir.DataType.FLOAT


@pytest.mark.parametrize(("opset", "known"), [(9, False), (11, True)])
@pytest.mark.parametrize("op_type", ["Squeeze", "Unsqueeze"])
def test_axes_from_the_end_tell_nothing_where_the_standard_has_none(
    op_type: str, opset: int, known: bool
) -> None:
    model = parse_model(f"g (float[2,1] x) => (y) {{ y = {op_type} <axes = [-1]> (x) }}", opset=opset)
    infer_shapes(model)
    assert (model.graph.outputs[0].shape is not None) == known
    assert model.graph.outputs[0].dtype == ir.DataType.FLOAT


def test_a_new_node_is_inferred_from_constants_that_are_not_yet_part_of_the_graph() -> None:
    """A backward Slice that starts before the first element starts with it."""
    model = parse_model("g (float[1,2] x) => (y) { y = Neg (x) }")
    infer_shapes(model)
    numbers = [[-2, 0], [-9, 2], [0, 1], [-2, 1]]
    given = [ir.Value(name=f"c{place}", const_value=ir.tensor(each)) for place, each in enumerate(numbers)]
    node = ir.node("Slice", [model.graph.inputs[0], *given])
    infer_node(model, node)
    assert str(node.outputs[0].shape) == "[1,2]"


def test_a_new_node_is_not_inferred_from_what_a_caller_may_override() -> None:
    model = parse_model(
        "g (float[2,3] x, int64[2] s) => (float[M,N] y) <int64[2] s = {3, 2}> { y = Reshape (x, s) }"
    )
    infer_shapes(model)
    node = ir.node("Reshape", model.graph.inputs)
    infer_node(model, node)
    assert node.outputs[0].shape is None or static_shape(node.outputs[0]) is None
    assert model.graph.inputs[1].const_value is not None


def test_names_that_opaque_operators_give_are_not_given_again() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 8, opset_import: ["" : 13, "f" : 1]>
        g (float[N] x) => (float[A,B] y) <int64[1] one = {1}, int64[1] two = {2}, float["_d0","_d1"] v> {
            v = f.part(x)  y = Slice(v, one, two)
        }
        <domain: "f", opset_import: ["" : 13]> part (x) => (y) { y = Neg(x) }"""
    )
    infer_shapes(model)
    before, after = (values(model)[name].shape for name in ("v", "y"))
    assert str(before) == "[_d0,_d1]" and after is not None and before is not None
    assert after[0] not in before.dims and after[1] == before[1]


@pytest.mark.parametrize(("size", "end"), [("1", "s"), ("2", "more")])
def test_a_slice_up_to_a_size_that_may_be_none_is_of_no_known_size(size: str, end: str) -> None:
    model = parse_model(
        f"""g (float[N] x, float[{size},2] t) => (y) <int64[1] zero = {{0}}, int64[1] one = {{1}}> {{
            s = Shape(x) more = Add(s, one) y = Slice(t, zero, {end}, zero)
        }}"""
    )
    infer_shapes(model)
    shape = values(model)["y"].shape
    assert shape is not None and not isinstance(shape[0], int) and shape[1] == 2
