"""Ifs and Loops whose course is known become plain nodes; names, outputs and numbers stay."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.testing import run_pass

PASS = "simplify-control-flow"


@pytest.mark.parametrize(("condition", "op_type"), [(1, "Neg"), (0, "Relu")])
def test_a_constant_condition(condition: int, op_type: str) -> None:
    run = run_pass(
        f"""
        agraph (float[2] x) => (float[2] y)
        <bool c = {{{condition}}}>
        {{
            y = If(c) <
                then_branch = t () => (float[2] p) {{ p = Neg(x) }},
                else_branch = e () => (float[2] q) {{ q = Relu(x) }}
            >
        }}
        """,
        PASS,
    )
    assert run.ops == [op_type]


def test_a_condition_that_inference_knows() -> None:
    run = run_pass(
        """
        agraph (float[N, 3] x) => (float[N, 3] y)
        <int64 two = {2}>
        {
            s = Shape(x)
            r = Size(s)
            d = Equal(r, two)
            c = Not(d)
            y = If(c) <
                then_branch = t () => (float[N, 3] p) { p = Neg(x) },
                else_branch = e () => (float[N, 3] q) { q = Relu(x) }
            >
        }
        """,
        PASS,
    )
    assert run.ops[-1] == "Relu"
    assert run.hits == {"If of a known condition": 1}


def test_an_input_decides_at_run_time() -> None:
    run = run_pass(
        """
        agraph (bool c, float[2] x) => (float[2] y)
        {
            y = If(c) <
                then_branch = t () => (float[2] p) { p = Neg(x) },
                else_branch = e () => (float[2] q) { q = Relu(x) }
            >
        }
        """,
        PASS,
    )
    assert run.changes == 0


def test_a_default_of_an_input_is_no_known_condition() -> None:
    run = run_pass(
        """
        agraph (float[2] x, bool c) => (float[2] y)
        <bool c = {1}>
        {
            y = If(c) <
                then_branch = t () => (float[2] p) { p = Neg(x) },
                else_branch = e () => (float[2] q) { q = Relu(x) }
            >
        }
        """,
        PASS,
    )
    assert run.changes == 0


def test_names_in_a_branch_clash_with_those_outside() -> None:
    run = run_pass(
        """
        agraph (float[2] x) => (float[2] y, float[2] z)
        <bool c = {1}>
        {
            a = If(c) <
                then_branch = t () => (float[2] p) <float[2] k = {1.0, 2.0}> { m = Add(x, k)  p = Neg(m) },
                else_branch = e () => (float[2] p) { p = Relu(x) }
            >
            b = If(c) <
                then_branch = t () => (float[2] p) <float[2] k = {3.0, 4.0}> { m = Mul(a, k)  p = Exp(m) },
                else_branch = e () => (float[2] p) { p = Relu(x) }
            >
            m = Abs(b)
            y = Identity(m)
            z = Add(a, m)
        }
        """,
        PASS,
    )
    assert run.ops == ["Add", "Neg", "Mul", "Exp", "Abs", "Identity", "Add"]


def test_nested_ifs_and_outer_values() -> None:
    run = run_pass(
        """
        agraph (bool d, float[2] x) => (float[2] y)
        <bool yes = {1}, bool no = {0}>
        {
            a = Neg(x)
            y = If(d) <
                then_branch = t () => (float[2] p)
                {
                    b = Exp(a)
                    p = If(yes) <
                        then_branch = t2 () => (float[2] p2)
                        {
                            p2 = If(no) <
                                then_branch = t3 () => (float[2] p3) { p3 = Sqrt(b) },
                                else_branch = e3 () => (float[2] q3) { q3 = Add(a, b) }
                            >
                        },
                        else_branch = e2 () => (float[2] q2) { q2 = Relu(b) }
                    >
                },
                else_branch = e () => (float[2] q) { q = Relu(a) }
            >
        }
        """,
        PASS,
    )
    assert run.ops == ["Neg", "If", "Exp", "Add", "Relu"]


def test_branches_that_return_outer_values_and_initializers() -> None:
    run = run_pass(
        """
        agraph (float[2] x) => (float[2] y, float[2] z, float[2] w)
        <bool c = {1}>
        {
            a = Neg(x)
            y, z, w = If(c) <
                then_branch = t () => (float[2] p, float[2] q, float[2] r)
                    <float[2] k = {1.0, 2.0}>
                    { p = Identity(a)  q = Identity(k)  r = Identity(x) },
                else_branch = e () => (float[2] p, float[2] q, float[2] r)
                    { p = Relu(x)  q = Relu(x)  r = Relu(x) }
            >
        }
        """,
        PASS,
    )
    assert "If" not in run.ops
    assert [value.name for value in run.model.graph.outputs] == ["y", "z", "w"]


def test_equal_branches() -> None:
    run = run_pass(
        """
        agraph (bool c, float[2] x) => (float[2] y)
        {
            y = If(c) <
                then_branch = t () => (float[2] p) { m = LeakyRelu <alpha = 0.5> (x)  p = Neg(m) },
                else_branch = e () => (float[2] q) { n = LeakyRelu <alpha = 0.5> (x)  q = Neg(n) }
            >
        }
        """,
        PASS,
    )
    assert run.hits == {"If of equal branches": 1}


def test_branches_that_differ_in_an_attribute() -> None:
    run = run_pass(
        """
        agraph (bool c, float[2] x) => (float[2] y)
        {
            y = If(c) <
                then_branch = t () => (float[2] p) { p = LeakyRelu <alpha = 0.5> (x) },
                else_branch = e () => (float[2] q) { q = LeakyRelu <alpha = 0.25> (x) }
            >
        }
        """,
        PASS,
    )
    assert run.changes == 0


def test_a_branch_after_which_a_node_must_fail() -> None:
    """Unsqueezed, the result has rank 3 after the one branch and rank 4 after the other."""
    run = run_pass(
        """
        agraph (float[N, 4, L] x) => (float[P, Q, R] y)
        <int64[1] last = {-1}, int64[1] zero = {0}, int64[1] one = {1},
         float[1, 4, 4] w = {1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}, float[1, 4, 1] r = {1,1,1,1}>
        {
            s = Shape(x)
            d = Gather(s, last)
            c = Equal(d, one)
            a = If(c) <
                then_branch = t () => (float[K, 4] p) { p = Squeeze(x, last) },
                else_branch = e () => (float[I, J, K] q) { q = Identity(x) }
            >
            u = Unsqueeze(a, zero)
            h, y, l = LSTM <hidden_size = 1> (u, w, r)
        }
        """,
        PASS,
        inputs=(),
        full_check=False,
    )
    assert run.hits == {"If of one possible branch": 1}
    assert "Squeeze" in run.ops and "Identity" not in run.ops


def test_both_branches_stay_where_neither_fails() -> None:
    run = run_pass(
        """
        agraph (float[N, 4, L] x) => (float y)
        <int64[1] last = {-1}, int64[1] one = {1}>
        {
            s = Shape(x)
            d = Gather(s, last)
            c = Equal(d, one)
            a = If(c) <
                then_branch = t () => (float[K, 4] p) { p = Squeeze(x, last) },
                else_branch = e () => (float[I, J, K] q) { q = Identity(x) }
            >
            y = ReduceMax <keepdims = 0> (a)
        }
        """,
        PASS,
        full_check=False,
    )
    assert run.changes == 0


LOOP = """
agraph (float[2] x) => (float[2] y)
<int64 n = {{{count}}}, bool go = {{{go}}}>
{{
    y = Loop(n, go, x) <
        body = b (int64 i, bool c, float[2] a) => (bool d, float[2] e)
        {{ f = Cast <to = 1> (i)  g = Add(a, f)  e = Mul(g, x)  d = Identity(c) }}
    >
}}
"""


@pytest.mark.parametrize(("count", "go", "nodes"), [(3, 1, 12), (1, 1, 4), (0, 1, 1), (-2, 1, 1), (3, 0, 1)])
def test_a_loop_of_known_trip_count(count: int, go: int, nodes: int) -> None:
    run = run_pass(LOOP.format(count=count, go=go), PASS)
    assert "Loop" not in run.ops
    assert len(run.ops) == nodes


def test_a_long_loop_stays() -> None:
    run = run_pass(LOOP.format(count=1000, go=1), PASS)
    assert run.ops[0] == "Loop"
    assert run.refusals == {"unrolled it would be more than 64 nodes": 1}


def test_a_loop_that_may_stop_early_stays() -> None:
    run = run_pass(
        """
        agraph (float[2] x, bool stop) => (float[2] y)
        <int64 n = {3}, bool go = {1}>
        {
            y = Loop(n, go, x) <
                body = b (int64 i, bool c, float[2] a) => (bool d, float[2] e)
                { e = Neg(a)  d = Not(stop) }
            >
        }
        """,
        PASS,
    )
    assert run.changes == 0


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_scan_outputs_are_stacked(opset: int) -> None:
    run = run_pass(
        """
        agraph (float[2] x) => (float[2] y, float[3, 2] z)
        <int64 n = {3}, bool go = {1}>
        {
            y, z = Loop(n, go, x) <
                body = b (int64 i, bool c, float[2] a) => (bool d, float[2] e, float[2] s)
                { e = Neg(a)  s = Exp(e)  d = Identity(c) }
            >
        }
        """,
        PASS,
        opset=opset,
    )
    assert run.ops.count("Unsqueeze") == 3


def test_carried_values_that_change_nothing() -> None:
    run = run_pass(
        """
        agraph (float[2] x, int64 n) => (float[2] y)
        <bool go = {1}, float[2] k = {1.0, 2.0}>
        {
            y, u, v = Loop(n, go, x, k, k) <
                body = b (int64 i, bool c, float[2] a, float[2] same, float[2] unread)
                    => (bool d, float[2] e, float[2] f, float[2] g)
                { e = Add(a, same)  f = Identity(same)  g = Neg(a)  d = Identity(c) }
            >
        }
        """,
        PASS,
        inputs=(),
    )
    assert run.hits == {"value carried for nothing": 2}
    assert len(run.node("Loop").inputs) == 3


def test_an_if_inside_a_loop() -> None:
    run = run_pass(
        """
        agraph (float[2] x, int64 n) => (float[2] y)
        <bool go = {1}>
        {
            y = Loop(n, go, x) <
                body = b (int64 i, bool c, float[2] a) => (bool d, float[2] e)
                {
                    e = If(go) <
                        then_branch = t () => (float[2] p) { p = Neg(a) },
                        else_branch = f () => (float[2] q) { q = Relu(a) }
                    >
                    d = Identity(c)
                }
            >
        }
        """,
        PASS,
        inputs=(),
    )
    assert run.ops == ["Loop", "Neg", "Identity"]


DIFFERENT = {
    "an attribute more": ("Softmax <axis = 0> (x)", "Softmax(x)"),
    "another operator": ("Sigmoid(x)", "Tanh(x)"),
    "another operand": ("Sub(x, z)", "Sub(z, x)"),
    "another constant": ("Constant <value = float[2] {1, 2}> ()", "Constant <value = float[2] {1, 3}> ()"),
    "another type": ("Constant <value_float = 1.0> ()", "Constant <value_int = 1> ()"),
    "another shape": ("Constant <value = float[2] {1, 2}> ()", "Constant <value = float[1,2] {1, 2}> ()"),
    "another type of elements": ("Constant <value = float[1] {0}> ()", "Constant <value = int32[1] {0}> ()"),
}


@pytest.mark.parametrize(("left", "right"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_branches_that_differ_stay(left: str, right: str) -> None:
    text = """
        agraph (bool c, float[2] x, float[2] z) => (y)
        {
            o = If(c) <
                then_branch = t () => (p) { m = LEFT  n = Cast <to = 1> (m)  p = Add(n, x) },
                else_branch = e () => (q) { k = RIGHT  l = Cast <to = 1> (k)  q = Add(l, x) }
            >
            y = Neg(o)
        }
        """
    assert run_pass(text.replace("LEFT", left).replace("RIGHT", right), PASS, inputs=()).changes == 0
    equal = run_pass(text.replace("LEFT", left).replace("RIGHT", left), PASS, inputs=())
    assert equal.hits == {"If of equal branches": 1}


def test_branches_of_other_lengths_and_results_stay() -> None:
    text = """
        agraph (bool c, float[2] x) => (float[2] y)
        {
            y = If(c) <
                then_branch = t () => (float[2] p) { m = Neg(x)  p = Exp(m) },
                else_branch = e () => (float[2] q) { n = Neg(x)  MORE }
            >
        }
        """
    assert run_pass(text.replace("MORE", "o = Exp(n)  q = Exp(n)"), PASS).changes == 0
    assert run_pass(text.replace("MORE", "q = Exp(n)"), PASS).hits == {"If of equal branches": 1}


def test_operators_of_other_domains_are_not_taken_to_fail() -> None:
    run = run_pass(
        """
        <ir_version: 9, opset_import: ["" : 18, "com.microsoft" : 1]>
        agraph (bool c, float[2] x) => (y)
        {
            o = If(c) <
                then_branch = t () => (float[2] p) { p = Neg(x) },
                else_branch = e () => (float[2] q) { q = Exp(x) }
            >
            y = com.microsoft.Gelu(o)
        }
        """,
        PASS,
    )
    assert run.changes == 0


def test_a_loop_that_never_runs_and_stacks_what_nobody_reads() -> None:
    run = run_pass(
        """
        g (float[1] x) => (float[1] y) <int64 none = {0}> {
            y, unused = Loop <body = b (int64 i, bool c, float[1] a) => (bool d, float[1] z, float[1] s)
                { d = Identity (c) z = Neg (a) s = Abs (a) }> (none, "", x)
        }
        """,
        "simplify-control-flow",
    )
    assert run.ops == ["Identity"]


@pytest.mark.parametrize(("opset", "inputs"), [(10, 3), (11, 2)])
def test_the_last_carried_value_stays_where_a_loop_must_have_one(opset: int, inputs: int) -> None:
    run = run_pass(
        """
        g (float[1] x, int64 n) => (float[1,1] y) {
            v, y = Loop <body = b (int64 i, bool c, float[1] a) => (bool d, float[1] z, float[1] s)
                { d = Identity (c) z = Identity (a) s = Neg (a) }> (n, "", x)
        }
        """,
        "simplify-control-flow",
        opset=opset,
        inputs=[{"x": np.ones(1, np.float32), "n": np.array(1)}],
    )
    assert len(run.node("Loop").inputs) == inputs


def test_a_loop_returns_something_even_where_it_carries_for_nothing() -> None:
    run = run_pass(
        """
        g (float[1] x, bool go) => (float[1] y) {
            z = Loop <body = b (int64 i, bool c, float[1] a) => (bool d, float[1] e)
                { d = Not (c) e = Identity (a) }> ("", go, x)
            y = Neg (z)
        }
        """,
        PASS,
        inputs=[{"x": np.ones(1, np.float32), "go": np.array(True)}],
    )
    assert run.hits == {"value carried for nothing": 1}
    assert run.node("Neg").inputs[0] is run.model.graph.inputs[0]


@pytest.mark.parametrize(
    "holder",
    [
        """If (yes) <then_branch = t () => (float[2] a) { a = OPERATOR (x) },
                     else_branch = e () => (float[2] b) { b = Neg (x) }>""",
        """Loop (once, yes, x) <body = l (int64 i, bool c, float[2] u) => (bool d, float[2] v)
                     { d = Identity (c)  v = OPERATOR (u) }>""",
    ],
)
@pytest.mark.parametrize(("operator", "stays"), [("HardSwish", True), ("Relu", False)])
def test_what_onnxruntime_spells_out_stays_a_body_away_from_a_sequence_map(
    holder: str, operator: str, stays: bool
) -> None:
    """onnxruntime spells a SequenceMap out, and then no more of the nodes right in its body."""
    text = f"""g (seq(float[2]) s) => (seq(float[2]) r) <bool yes = {{1}}, int64 once = {{1}}>
    {{ r = SequenceMap (s) <body = m (float[2] x) => (float[2] y)
        {{ y = {holder.replace("OPERATOR", operator)} }}> }}"""
    run = run_pass(text, "simplify-control-flow")
    assert (run.ops[1] == holder.partition(" ")[0]) is stays
    assert len(run.refusals) == stays


@pytest.mark.parametrize(("other", "kept"), [("ab", False), ("b", True)])
def test_branches_of_strings(other: str, kept: bool) -> None:
    run = run_pass(
        f"""
        g (bool c) => (string[1] y) {{
            y = If (c) <
                then_branch = t () => (string[1] a) {{ a = Constant <value = string[1] {{"ab"}}> () }},
                else_branch = e () => (string[1] b) {{ b = Constant <value = string[1] {{"{other}"}}> () }}
            >
        }}
        """,
        PASS,
    )
    assert ("If" in run.ops) == kept


@pytest.mark.parametrize("operand", ["x, w, r, , , u, s", "x, w, r, , , s, u"])
def test_an_initial_state_of_another_rank_rules_a_branch_out(operand: str) -> None:
    """Of two results, one is of the same rank in both branches; the state of an LSTM has rank 3."""
    run = run_pass(
        f"""
        agraph (float[2,1,4] x, bool c, float[1,1,1] s, float[1,1] m) => (float[P,Q,R,S] y, float z)
        <int64[1] zero = {{0}},
         float[1, 4, 4] w = {{1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}}, float[1, 4, 1] r = {{1,1,1,1}}> {{
            z, u = If(c) <
                then_branch = t () => (float p, float[A,B,C] o) {{
                    p = ReduceMax <keepdims = 0> (x) o = Unsqueeze(m, zero) }},
                else_branch = e () => (float q, float[A,B] n) {{
                    q = ReduceMin <keepdims = 0> (x) n = Neg(m) }}
            >
            y = LSTM <hidden_size = 1> ({operand})
        }}
        """,
        PASS,
        inputs=(),
        full_check=False,
    )
    assert run.hits == {"If of one possible branch": 1}
    assert "Unsqueeze" in run.ops and "Neg" not in run.ops


def test_a_branch_that_goes_reads_nothing_any_more() -> None:
    run = run_pass(
        """
        agraph (float[2] x) => (float[2] y) <bool c = {1}> {
            k = Neg(x)  h = Abs(x)
            y = If(c) <then_branch = t () => (float[2] a) { a = Relu(x) },
                       else_branch = e () => (float[2] b) { b = Add(h, k) }>
        }
        """,
        PASS,
    )
    assert not any(value.uses() for node in run.model.graph for value in node.outputs)


def test_ifs_in_functions_stay() -> None:
    """A branch may hold initializers, and a function cannot."""
    run = run_pass(
        """<ir_version: 9, opset_import: ["" : 18, "local" : 1]>
        g (float[2] x) => (float[2] y) { y = local.f(x) }
        <domain: "local", opset_import: ["" : 18]> f (x) => (y) {
            c = Constant <value = bool {1}> ()
            y = If(c) <
                then_branch = t () => (float[2] u) <float[2] w = {1, 2}> { u = Add(x, w) },
                else_branch = e () => (float[2] v) { v = Neg(x) }
            >
        }""",
        PASS,
    )
    assert run.changes == 0
