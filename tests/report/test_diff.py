"""Which nodes became which."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import PROVENANCE_KEY
from graphopt.report.diff import NodeRef, diff

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
main (float[N,4] x) => (float[N,4] y)
<float[4] w = {1, 2, 3, 4}>
{
    [add] a = Add (x, w)
    [relu] b = Relu (a)
    [soft] y = Softmax <axis = 1> (b)
}"""


def model(text: str = MODEL) -> ir.Model:
    return ir.from_onnx_text(text)


def test_a_model_is_the_same_as_itself() -> None:
    found = diff(model(), model())
    assert found.same
    assert (found.kept, found.nodes, found.ops) == (3, (3, 3), {})
    assert found.to_dict()["same"] is True


def test_constants_count_as_weights_not_as_nodes() -> None:
    found = diff(model(), model(MODEL.replace("{1, 2, 3, 4}", "{1, 2, 3, 5}")))
    assert not found.same
    assert (found.kept, found.constants) == (3, {"changed": ("w",), "removed": (), "new": ()})


def test_an_attribute_changed() -> None:
    found = diff(model(), model(MODEL.replace("axis = 1", "axis = -1")))
    (became,) = found.changed
    assert (became.node, became.what) == (NodeRef("Softmax", "soft"), "attributes")


def test_a_node_removed_leaves_its_reader_with_other_inputs() -> None:
    found = diff(model(), model(MODEL.replace("    [relu] b = Relu (a)\n", "").replace("(b)", "(a)")))
    assert found.removed == (NodeRef("Relu", "relu"),)
    assert [(each.node.name, each.what) for each in found.changed] == [("soft", "inputs")]
    assert found.ops == {"Relu": (1, 0)}


def test_a_new_node() -> None:
    text = MODEL.replace("    [soft]", "    [extra] c = Neg (b)\n    [soft]").replace("(b)\n}", "(c)\n}")
    found = diff(model(), model(text))
    assert found.new == (NodeRef("Neg", "extra"),)


def test_provenance_tells_what_was_fused() -> None:
    after = model(
        MODEL.replace("    [relu] b = Relu (a)\n", "").replace("[add] a = Add", "[both] b = Custom")
    )
    next(iter(after.graph)).metadata_props[PROVENANCE_KEY] = "add, relu"
    found = diff(model(), after)
    (became,) = found.fused
    assert became.node == NodeRef("Custom", "both")
    assert became.sources == (NodeRef("Add", "add"), NodeRef("Relu", "relu"))
    assert not found.removed


def test_a_node_without_a_name_is_found_by_what_it_makes() -> None:
    unnamed = MODEL.replace("[add] ", "").replace("[relu] ", "").replace("[soft] ", "")
    found = diff(model(unnamed), model(unnamed.replace("Relu", "Sigmoid")))
    (became,) = found.changed
    assert (became.sources[0].op, became.node.op, became.what) == ("Relu", "Sigmoid", "operator")


def test_the_interface() -> None:
    found = diff(model(), model(MODEL.replace("float[N,4] y", "float[M,4] y").replace('"" : 17', '"" : 18')))
    assert len(found.interface) == 2
    assert "opset of ai.onnx: 17 -> 18" in found.interface


def test_bodies_are_looked_into() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    main (bool c, float[2] x) => (float[2] y) {
        [choose] y = If (c) <
            then_branch = yes () => (float[2] t) { [neg] t = Neg (x) },
            else_branch = no () => (float[2] e) { [abs] e = Abs (x) }>
    }"""
    found = diff(model(text), model(text.replace("Abs", "Exp")))
    assert (found.nodes, found.kept) == ((3, 3), 2)
