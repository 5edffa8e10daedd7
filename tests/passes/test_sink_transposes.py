"""sink-transposes: which nodes transposes pass, which absorb them, where those that are left stand."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.testing import PassRun, parse_model, run_pass

HEAD = "<int64[1] i0 = {0}, int64[1] i1 = {1}, int64[1] i2 = {2}, int64[1] im1 = {-1}"


def between(body: str, *, shape: str = "2, 4, 6, 3", consts: str = "", opset: int = 18) -> PassRun:
    """Run on `body`, which makes `z` of `t`, x channels-last, and is read channels-first again."""
    text = f"""g (float[{shape}] x) => (float[A, B, C, D] y) {HEAD}{consts}> {{
        t = Transpose<perm = [0, 2, 3, 1]>(x) {body} y = Transpose<perm = [0, 3, 1, 2]>(z)
    }}"""
    return run_pass(text, "sink-transposes", opset=opset)


PASSED = {
    "unary": "z = Sigmoid(t)",
    "clip": "z = Clip(t, c, d)",
    "constant per channel": "z = Mul(t, w)",
    "constant in front": "z = Sub(w, t)",
    "constant over an inner axis": "z = Add(t, rows)",
    "constant of all dimensions": "z = Add(wide, t)",
    "both operands": "a = Relu(t) b = Neg(t) z = Add(a, b)",
    "where": "m = Greater(t, c) z = Where(m, t, c)",
    "prelu": "z = PRelu(t, w)",
    "cast": "a = Cast<to = 10>(t) z = Cast<to = 1>(a)",
    "softmax over channels": "z = Softmax<axis = 3>(t)",
    "reduction kept": "a = ReduceMean<keepdims = 1>(t, i2) z = Mul(t, a)",
    "reduction of all channels": "a = ReduceMax<keepdims = 1>(t, im1) z = Sub(t, a)",
    "concat": "a = Relu(t) z = Concat<axis = -1>(t, a, t)",
    "split": "a, b = Split<axis = 1, num_outputs = 2>(t) z = Max(a, b)",
    "slice": "z = Slice(t, i0, i2, i1)",
    "slice without axes": "z = Slice(t, i0, i2)",
    "pad": "z = Pad(t, pads, c)",
    "gather": "z = Gather<axis = 2>(t, two)",
    "gather of one": "a = Gather<axis = 1>(t, zero) z = Unsqueeze(a, i1)",
    "squeeze": "a = ReduceSum<keepdims = 1>(t, i1) b = Squeeze(a, i1) z = Unsqueeze(b, i1)",
    "reshape that joins": "a = Reshape(t, joined) b = Relu(a) z = Reshape(b, taken_apart)",
    "reshape with zeros": "a = Reshape(t, copied) b = Relu(a) z = Reshape(b, copied_back)",
    "resize": "z = Resize(t, , scales)",
    "expand": "a = ReduceMean<keepdims = 1>(t, i1) z = Expand(a, shape)",
    "tile": "z = Tile(t, repeats)",
    "cumsum": "z = CumSum(t, zero)",
    "argmax": "a = ArgMax<axis = 3>(t) b = Cast<to = 1>(a) z = Mul(t, b)",
    "shape": "s = Shape<start = 0, end = 1>(t) r = Concat<axis = 0>(s, tail) z = Expand(t, r)",
    "moved ones": "a = ReduceMean<keepdims = 1>(t, i1) b = Reshape(a, ones) c1 = Relu(b) "
    "d1 = Reshape(c1, ones_back) z = Add(t, d1)",
}
CONSTS = """, float c = {0.25}, float d = {1.5}, float[2] w = {1.5, -2}, float[3, 1] rows = {1, 2, 3},
    float[1, 1, 1, 2] wide = {1, 2}, int64[8] pads = {0, 1, 0, 0, 0, 0, 2, 1}, int64[2] two = {0, 2},
    int64 zero = {0}, int64[3] joined = {2, 12, 2}, int64[4] taken_apart = {2, 4, 3, 2},
    int64[3] copied = {0, -1, 2}, int64[4] copied_back = {0, 4, -1, 2}, float[4] scales = {1, 2, 2, 1},
    int64[4] shape = {2, 4, 3, 2}, int64[4] repeats = {1, 2, 1, 3}, int64[3] tail = {4, 3, 2},
    int64[4] ones = {2, 3, 2, 1}, int64[4] ones_back = {2, 1, 3, 2}"""


@pytest.mark.parametrize("body", PASSED.values(), ids=PASSED.keys())
def test_passes(body: str) -> None:
    run = between(body, shape="2, 2, 4, 3", consts=CONSTS)
    assert "Transpose" not in run.ops, run.refusals


OLD = {
    "reduction": "z = ReduceMean<axes = [-1]>(t)",
    "squeeze": "a = ReduceSum<axes = [1], keepdims = 0>(t) z = Unsqueeze<axes = [1]>(a)",
    "softmax over the last axis, which stays": "z = Softmax<axis = 3>(t)",
    "split": "a, b = Split<axis = 1>(t) z = Max(a, b)",
}


@pytest.mark.parametrize(("name", "body"), OLD.items(), ids=OLD.keys())
def test_passes_older_forms(name: str, body: str) -> None:
    perm, back = ("0, 2, 1, 3", "0, 2, 1, 3") if "stays" in name else ("0, 2, 3, 1", "0, 3, 1, 2")
    text = f"""g (float[2, 2, 4, 3] x) => (float[A, B, C, D] y) {{
        t = Transpose<perm = [{perm}]>(x) {body} y = Transpose<perm = [{back}]>(z)
    }}"""
    run = run_pass(text, "sink-transposes", opset=11)
    assert "Transpose" not in run.ops, run.refusals


REFUSED = {
    "softmax over the last axes": ("z = Softmax<axis = 2>(t)", "a Softmax over several axes", 11),
    "layer normalization": (
        "z = LayerNormalization(t, w)",
        "a LayerNormalization has a fixed order of axes",
        18,
    ),
    "reshape that mixes": (
        "a = Reshape(t, joined) z = Reshape(a, taken_apart)",
        "the axes that a Reshape joins or splits would come apart",
        18,
    ),
    "convolution": ("z = Conv(t, kernel)", "a Conv has a fixed order of axes", 18),
    "matrix": ("z = MatMul(t, square)", "a MatMul has a fixed order of axes", 18),
    "global norm": ("z = LRN<size = 3>(t)", "an LRN has a fixed order of axes", 18),
}
REFUSED_CONSTS = """, float[2] w = {1.5, -2}, int64[3] joined = {2, 4, 6},
    int64[4] taken_apart = {2, 4, 3, 2},
    float[4, 4, 1, 1] kernel = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    float[2, 2] square = {1, 2, 3, 4}"""


@pytest.mark.parametrize(("body", "reason", "opset"), REFUSED.values(), ids=REFUSED.keys())
def test_stays(body: str, reason: str, opset: int) -> None:
    run = between(body, shape="2, 2, 4, 3", consts=REFUSED_CONSTS, opset=opset)
    assert run.changes == 0
    assert run.ops.count("Transpose") == 2
    assert reason in run.refusals


def test_inputs_and_outputs_keep_their_order() -> None:
    text = "g (float[2, 3, 4] x) => (float[A, B, C] y) { t = Transpose<perm = [0, 2, 1]>(x) y = Relu(t) }"
    run = run_pass(text, "sink-transposes")
    assert run.changes == 0
    assert run.refusals == {"an input or output of the graph has a fixed order of axes": 1}


def test_moves_to_where_least_is_transposed() -> None:
    text = """g (float[2, 64, 3] x) => (float[A, B, C] y) <int64[1] a = {1}> {
        t = Transpose<perm = [0, 2, 1]>(x) r = Relu(t) y = ReduceMax<keepdims = 1>(r, axes)
    }""".replace("a = {1}", "axes = {2}")
    run = run_pass(text, "sink-transposes")
    assert run.ops == ["Relu", "ReduceMax", "Transpose"]


@pytest.mark.parametrize("take", ["Gather<axis = 0>(t, i{0})", "Slice(t, i{0}, i{1}, front)"])
@pytest.mark.parametrize(("perm", "moves"), [([2, 0, 1], False), ([1, 0, 2], True)])
def test_parts_are_not_taken_element_by_element(take: str, perm: list[int], moves: bool) -> None:
    parts = " ".join(f"p{part} = {take.format(part, part + 1)}" for part in range(4))
    text = f"""g (float[8, 8, 8] x) => (float[A, B, C] y) {HEAD}, int64[1] i3 = {{3}}, int64[1] i4 = {{4}},
        int64[1] front = {{0}}> {{
        r = Relu(x) t = Transpose<perm = {perm}>(r) {parts} y = Max(p0, p1, p2, p3)
    }}"""
    text = text.replace("8, 8, 8", "48, 48, 48")
    run = run_pass(text, "sink-transposes")
    assert run.ops.index("Transpose") > run.ops.index("Max") if moves else run.changes == 0


def test_residual_sums_are_followed_as_a_whole() -> None:
    block = "c{0} = Conv<pads = [1, 1, 1, 1]>({1}, w) n{0} = Transpose<perm = [0, 2, 3, 1]>(c{0}) "
    block += "b{0} = Add(n{0}, bias) s{0} = Add(b{0}, {2}) p{0} = Transpose<perm = [0, 3, 1, 2]>(s{0}) "
    weight = ", ".join(str(index) for index in range(36))
    text = f"""g (float[1, 2, 5, 4] x) => (float[A, B, C, D] y)
        <float[2, 2, 3, 3] w = {{{weight}}}, float[2] bias = {{1, 2}}> {{
        first = Transpose<perm = [0, 2, 3, 1]>(x) {block.format(0, "x", "first")}
        {block.format(1, "p0", "s0")} {block.format(2, "p1", "s1")} y = Relu(p2)
    }}"""
    run = run_pass(text, "sink-transposes")
    assert "Transpose" not in run.ops


def test_one_value_in_two_orders_is_transposed_once() -> None:
    text = """g (float[2, 3, 4] x) => (float[A, B, C] y, float[D, E, F] z) {
        r = Relu(x) t = Transpose<perm = [0, 2, 1]>(r) a = Neg(t) u = Transpose<perm = [0, 2, 1]>(r)
        y = Exp(a) z = Sigmoid(u)
    }"""
    run = run_pass(text, "sink-transposes,cse")
    assert run.ops.count("Transpose") == 1


def test_interior_outputs_keep_names_and_numbers() -> None:
    text = """g (float[2, 3, 4] x) => (float[A, B, C] y, float[D, E, F] t, float[G, H, I] r) {
        t = Transpose<perm = [0, 2, 1]>(x) r = Relu(t) s = Neg(r) y = Transpose<perm = [0, 2, 1]>(s)
    }"""
    assert run_pass(text, "sink-transposes").changes == 0


def test_what_a_body_reads_stays() -> None:
    text = """g (float[2, 3, 4] x, bool c) => (float[A, B, C] y) {
        t = Transpose<perm = [0, 2, 1]>(x) r = Relu(t)
        s = If(c)<then_branch = g1 () => (float[A, B, C] u) { u = Neg(r) },
                  else_branch = g2 () => (float[A, B, C] v) { v = Exp(r) }>
        y = Transpose<perm = [0, 2, 1]>(s)
    }"""
    assert run_pass(text, "sink-transposes").changes == 0


def test_bodies_are_looked_at_too() -> None:
    text = """g (float[2, 3, 4] x, bool c) => (float[A, B, C] y) {
        y = If(c)<then_branch = g1 () => (float[A, B, C] u) {
                      t = Transpose<perm = [0, 2, 1]>(x) r = Relu(t) u = Transpose<perm = [0, 2, 1]>(r) },
                  else_branch = g2 () => (float[A, B, C] v) { v = Exp(x) }>
    }"""
    assert run_pass(text, "sink-transposes").ops == ["If", "Relu", "Exp"]


ABSORBED = {
    "flattened into a MatMul": """t = Transpose<perm = [0, 2, 3, 1]>(x) f = Reshape(t, flat)
        y = MatMul(f, w)""",
    "flattened into a Gemm": """t = Transpose<perm = [0, 2, 3, 1]>(x) f = Flatten<axis = 1>(t)
        y = Gemm<transB = 1, alpha = 0.5>(f, v, b)""",
    "flattened with all sizes named": """t = Transpose<perm = [0, 3, 2, 1]>(x) f = Reshape(t, copied)
        y = MatMul(f, w)""",
}


@pytest.mark.parametrize("body", ABSORBED.values(), ids=ABSORBED.keys())
def test_weights_absorb_what_is_flattened(body: str) -> None:
    weight = ", ".join(str(index % 7 - 3) for index in range(48))
    text = f"""g (float[N, 2, 4, 3] x) => (float[A, B] y)
        <float[24, 2] w = {{{weight}}}, float[2, 24] v = {{{weight}}}, float[2] b = {{1, 2}},
         int64[2] flat = {{-1, 24}}, int64[2] copied = {{0, -1}}> {{ {body} }}"""
    run = run_pass(text, "sink-transposes")
    assert "Transpose" not in run.ops, run.refusals


@pytest.mark.parametrize(
    ("shape", "perm", "flat"),
    [
        ("5, 2, 4, 3", "0, 2, 3, 1", "{5, 24}"),
        ("5, 6, 4, 1", "0, 2, 3, 1", "{5, 24}"),
        ("5, 6, 1, 4", "0, 3, 1, 2", "{5, 24}"),
        ("5, 1, 6, 4", "0, 3, 2, 1", "{5, 24}"),
        ("5, 2, 4, 3", "0, 3, 2, 1", "{1, 5, 24}"),
    ],
)
def test_weights_absorb_what_is_flattened_beside_axes_of_one(shape: str, perm: str, flat: str) -> None:
    weight = ", ".join(str(index % 7 - 3) for index in range(48))
    text = f"""g (float[{shape}] x) => (y)
        <float[24, 2] w = {{{weight}}}, int64[{flat.count(",") + 1}] flat = {flat}> {{
        t = Transpose<perm = [{perm}]>(x) f = Reshape(t, flat) y = MatMul(f, w)
    }}"""
    run = run_pass(text, "sink-transposes")
    assert "Transpose" not in run.ops, run.refusals


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Relu(f)", "a Relu reads what a Reshape joins"),
        ("a = Relu(f) e = Neg(f) y = Add(a, e)", "what a Reshape joins is no operand of one weight alone"),
        ("y = MatMul(f, p)", "the weight of the MatMul is not constant"),
    ],
)
def test_nothing_else_absorbs_what_is_flattened(body: str, reason: str) -> None:
    text = f"""g (float[5, 2, 4, 3] x, float[24, 2] p) => (float[A, B] y) <int64[2] flat = {{-1, 24}}> {{
        t = Transpose<perm = [0, 2, 3, 1]>(x) f = Reshape(t, flat) {body}
    }}"""
    run = run_pass(text, "sink-transposes")
    assert run.changes == 0
    assert reason in run.refusals


@pytest.mark.parametrize(
    "made",
    [
        "f = MatMul(x, w) a = Add(f, b) r = Relu(a)",
        "f = Gemm<transB = 1>(x, v, b) r = Mul(f, b)",
        "f = Gemm(x, w, c) r = Clip(f, c, d)",
    ],
)
def test_weights_absorb_what_is_split(made: str) -> None:
    weight = ", ".join(str(index % 7 - 3) for index in range(48))
    bias = ", ".join(str(index) for index in range(24))
    text = f"""g (float[N, 2] x) => (float[A, B, C, D] y)
        <float[2, 24] w = {{{weight}}}, float[24, 2] v = {{{weight}}}, float[24] b = {{{bias}}},
         float c = {{0.5}}, float d = {{6}}, int64[4] image = {{-1, 4, 3, 2}}> {{
        {made} s = Reshape(r, image) t = Transpose<perm = [0, 3, 1, 2]>(s)
        y = AveragePool<kernel_shape = [2, 2]>(t)
    }}"""
    assert "Transpose" not in run_pass(text, "sink-transposes").ops


def test_products_absorb_transposes() -> None:
    text = """g (float[K, M] a, float[N, K] b, float[5, N, 6, 4] p) => (float[A, B] y, float[C, D, E, F] z) {
        s = Transpose(a) t = Transpose(b) y = MatMul(s, t)
        q = Transpose<perm = [0, 2, 1, 3]>(p) r = Transpose<perm = [0, 1, 3, 2]>(q)
        m = MatMul(q, r) z = Transpose<perm = [0, 2, 1, 3]>(m)
    }"""
    run = run_pass(text, "merge-transposes,sink-transposes")
    gemm = run.node("Gemm")
    assert (gemm.attributes["transA"].as_int(), gemm.attributes["transB"].as_int()) == (1, 1)


def test_two_operands_of_a_batch_product_change_places() -> None:
    text = """g (float[4, 5, 6] a, float[4, 7, 5] b) => (float[A, B, C] y) {
        s = Transpose<perm = [0, 2, 1]>(a) t = Transpose<perm = [0, 2, 1]>(b) u = Relu(s) v = Relu(t)
        m = MatMul(u, v) y = Transpose<perm = [0, 2, 1]>(m)
    }"""
    assert "Transpose" not in run_pass(text, "sink-transposes").ops


def test_convolution_with_height_and_width_exchanged() -> None:
    weight = ", ".join(str(index % 5) for index in range(24))
    text = f"""g (float[1, 2, 9, 8] x) => (float[A, B, C, D] y) <float[2, 2, 3, 2] w = {{{weight}}}> {{
        t = Transpose<perm = [0, 1, 3, 2]>(x)
        c = Conv<strides = [2, 1], pads = [1, 0, 0, 1], dilations = [1, 2]>(t, w)
        p = MaxPool<kernel_shape = [2, 1], strides = [1, 2]>(c) y = Transpose<perm = [0, 1, 3, 2]>(p)
    }}"""
    assert run_pass(text, "sink-transposes").ops == ["Conv", "MaxPool"]


def test_quantized_values_pass() -> None:
    text = """g (float[1, 3, 5, 4] x) => (float[A, B, C, D] y)
        <float[3] s = {0.5, 0.25, 1}, uint8[3] z = {3, 4, 5}> {
        t = Transpose<perm = [0, 2, 3, 1]>(x) q = QuantizeLinear<axis = 3>(t, s, z)
        d = DequantizeLinear<axis = -1>(q, s, z) y = Transpose<perm = [0, 3, 1, 2]>(d)
    }"""
    assert run_pass(text, "sink-transposes").ops == ["QuantizeLinear", "DequantizeLinear"]


def test_unknown_sizes_pass() -> None:
    text = """g (float[N, 3, H, W] x, float[N, 3, H, W] o) => (float[A, B, C, D] y) <float[3] w = {1, 2, 3}> {
        t = Transpose<perm = [0, 2, 3, 1]>(x) u = Transpose<perm = [0, 2, 3, 1]>(o) a = Mul(t, w)
        b = Concat<axis = 2>(a, u) y = Transpose<perm = [0, 3, 1, 2]>(b)
    }"""
    assert run_pass(text, "sink-transposes").ops == ["Mul", "Concat"]


@pytest.mark.parametrize("op_type", ["Expand", "Tile"])
def test_a_constant_that_something_repeats_keeps_its_order(op_type: str) -> None:
    sizes = "1, 2, 1, 1"
    run = run_pass(
        f"""g (float[1, 2, 4, 3] x) => (float[A, B, C, D] y)
        <float[1, 1, 3, 4] c = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}, int64[4] sizes = {{{sizes}}}> {{
            e = {op_type}(c, sizes) t = Transpose<perm = [0, 1, 3, 2]>(e) y = Add(t, x)
        }}""",
        "sink-transposes",
    )
    assert run.changes == 0


def test_indices_are_transposed_rather_than_what_they_gather() -> None:
    table = ", ".join(str(index) for index in range(32))
    text = f"""g (int64[3, 2] i) => (float[A, B, C] y) <float[4, 8] w = {{{table}}}, int64 four = {{4}}> {{
        m = Mod(i, four) e = Gather(w, m) n = Relu(e) y = Transpose<perm = [1, 0, 2]>(n)
    }}"""
    run = run_pass(text, "sink-transposes")
    assert run.ops == ["Transpose", "Mod", "Gather", "Relu"] or run.ops == [
        "Mod",
        "Transpose",
        "Gather",
        "Relu",
    ]


def test_only_the_axes_of_the_indices_pass_a_gather_of_a_constant() -> None:
    table = ", ".join(str(index) for index in range(32))
    text = f"""g (int64[3, 2] i) => (float[A, B, C] y) <float[4, 8] w = {{{table}}}, int64 four = {{4}}> {{
        m = Mod(i, four) e = Gather(w, m) n = Relu(e) y = Transpose<perm = [0, 2, 1]>(n)
    }}"""
    run = run_pass(text, "sink-transposes")
    assert run.changes == 0


def test_rows_and_columns_of_a_flatten_keep_their_places() -> None:
    run = run_pass(
        """g (float[8] x) => (float[1, 8] y) <int64[2] row = {1, 8}> {
            f = Flatten(x) h = Exp(f) y = Reshape(h, row)
        }""",
        "sink-transposes",
    )
    assert "Flatten" in run.ops


def test_a_slice_by_steps_that_are_computed() -> None:
    run_pass(
        """
        g (float[4,4] x, int64[2] t) => (float[N,M] y) <int64[2] s = {0, 0}, int64[2] e = {4, 4}>
        { v = Slice (x, s, e, "", t) y = Transpose (v) }
        """,
        "sink-transposes",
        inputs=[{"x": np.arange(16, dtype=np.float32).reshape(4, 4), "t": np.array([1, 2])}],
    )


def test_a_constant_that_is_the_only_operand_keeps_its_axes() -> None:
    run = run_pass(
        "g () => (float[1,2] y) <float[2,1] w = {1, -2}> { v = Relu (w) y = Transpose (v) }",
        "sink-transposes",
    )
    assert run.ops == ["Relu"]


def test_strings_have_no_size() -> None:
    run = run_pass(
        """g (string[2,1,3] x) => (string[1,1,2] y) <int64[2] s = {0, 0}, int64[2] e = {1, 1}> {
            t = Transpose <perm = [2, 1, 0]> (x) y = Slice (t, s, e)
        }""",
        "sink-transposes",
    )
    assert "Slice" in run.ops


def test_nodes_keep_their_notes() -> None:
    model = parse_model(
        """agraph (float[N,3,4,5] x) => (float[N,3,4,5] y) {
            a = Transpose <perm = [0,2,3,1]> (x)  b = Relu(a)  y = Transpose <perm = [0,3,1,2]> (b)
        }"""
    )
    for node in model.graph:
        node.metadata_props["from"] = node.op_type
    assert run_pass(model, "sink-transposes,dce").node("Relu").metadata_props["from"] == "Relu"


def test_a_transpose_passes_no_type_that_the_opset_has_none_of() -> None:
    run = run_pass(
        """g (float[2,3] x) => (float8e4m3fn[3,2] y) {
            t = Transpose <perm = [1, 0]> (x) n = Neg (t) y = Cast <to = 17> (n)
        }""",
        "sink-transposes",
        opset=20,
    )
    assert run.ops[-1] == "Cast"
