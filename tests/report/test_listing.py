"""A graph as text."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.report.listing import listing


def test_one_line_a_node_with_small_constants_in_place() -> None:
    model = ir.from_onnx_text("""<ir_version: 8, opset_import: ["" : 17]>
    main (float[N,4] x) => (float[M] y)
    <float[4] w = {1, 2, 3, 4}>
    {
        a = Add (x, w)
        b = Concat <axis = 0> (a, x)
        y = Clip (b, , w)
    }""")
    assert listing(model).splitlines() == [
        "input %x: float[N, 4]",
        "%a = Add(%x, float([1.0, 2.0, 3.0, 4.0]))",
        "%b = Concat(%a, %x) {axis=0}",
        "%y: float[M] = Clip(%b, , float([1.0, 2.0, 3.0, 4.0]))",
        "return %y",
    ]


def test_bodies_are_indented_and_functions_come_first() -> None:
    model = ir.from_onnx_text("""<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    main (bool c, float[2] x) => (float[2] y) {
        y = If (c) <
            then_branch = yes () => (float[2] t) { t = own.twice <factor = 2.0> (x) },
            else_branch = no () => (float[2] e) { e = Abs (x) }>
    }
    <domain: "own", opset_import: ["" : 17]>
    twice <factor> (v) => (w) {
        k = Constant <value_float: float = @factor> ()
        w = Mul (v, k)
    }""")
    lines = listing(model).splitlines()
    assert lines[0] == "function own.twice"
    assert "  %k = Constant() {value_float=@factor}" in lines
    assert "  then_branch:" in lines
    assert "    %t: float[2] = own.twice(%x) {factor=2.0}" in lines


def test_large_constants_show_their_shape() -> None:
    model = ir.from_onnx_text("""<ir_version: 8, opset_import: ["" : 17]>
    main (float[12] x) => (float[12] y)
    <float[12] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>
    { y = Add (x, w) }""")
    assert "Add(%x, %w: float[12])" in listing(model)
