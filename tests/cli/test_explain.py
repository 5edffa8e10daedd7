"""`graphopt explain`: what became of a node, why not more, and what to look at next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

Run = Callable[..., Any]

MODEL = """<ir_version: 8, opset_import: ["" : 20]>
main (float[N,2,4,4] x) => (float[N,2,4,4] y, float[N,2,4,4] z, float[N,2,4,4] u)
<float[2,2,1,1] w = {1, 2, 3, 4}, float two = {2}, float root = {1.41421356}, float one = {1},
 float half = {0.5}, float wrong = {1.4152}, float[2] odd = {1, 2}>
{
    [conv] a = Conv (x, w)
    [double] b = Mul (a, two)
    [gate] g = Sigmoid (b)
    [swish] s = Mul (b, g)
    [over] c = Div (s, root) [erf] d = Erf (c) [plus] e = Add (d, one) [times] f = Mul (s, e)
    [gelu] y = Mul (f, half)
    [over2] c2 = Div (s, wrong) [erf2] d2 = Erf (c2) [plus2] e2 = Add (d2, one) [times2] f2 = Mul (s, e2)
    [nearly] z = Mul (f2, half)
    [shape] n = Shape (odd) [size] k = Cast <to = 1> (n) [sized] u = Mul (s, k)
}"""


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.onnx"
    ir.save(ir.from_onnx_text(MODEL), path)
    return path


@pytest.fixture
def explain(run: Run, network: Path) -> Callable[..., str]:
    def explain(*arguments: object) -> str:
        ran = run("explain", network, *arguments)
        assert (ran.code, ran.err) == (0, "")
        return str(ran.out)

    return explain


def test_a_model_gets_all_refusals_and_idioms(explain: Callable[..., str], network: Path) -> None:
    text = explain()
    assert "not compared, not measured, nothing written" in text
    assert "nearly Gelu, but at x = " in text
    assert "kept as 2 nodes: the operator takes " in text
    assert f"hint: `graphopt explain {network} --node " in text
    assert [each.name for each in network.parent.iterdir()] == [network.name]


def test_what_a_node_became(explain: Callable[..., str]) -> None:
    text = explain("--node", "erf")
    assert text.startswith("Erf 'erf' became Gelu 'y/Gelu', together with over, plus, times, gelu\n")
    assert "fuse-activation  Gelu 'y/Gelu'" in text
    assert "recognised as Gelu (error " in explain("--node", "gelu")


def test_values_and_nodes_of_the_optimized_model_are_known_too(explain: Callable[..., str]) -> None:
    assert explain("--node", "d") == explain("--node", "erf")
    assert explain("--node", "y/Gelu").startswith("'y/Gelu' is made by the passes, Gelu 'y/Gelu': made of ")


def test_nodes_without_a_name_go_by_what_they_make(run: Run, network: Path) -> None:
    ir.save(ir.from_onnx_text(MODEL.replace("[erf] ", "")), network)
    assert run("explain", network, "--node", "d").out.startswith("Erf 'd' became Gelu 'y/Gelu'")


def test_why_a_node_is_left(explain: Callable[..., str]) -> None:
    for name in ("nearly", "erf2"):
        assert "nearly Gelu, but at x = " in explain("--node", name)
    swish = explain("--node", "swish")
    assert swish.startswith("Mul 'swish' stands as it was\n")
    assert "Swish kept as 2 nodes: the operator takes " in swish
    assert "the second input of Mul 'swish' is the result of Sigmoid 'gate', expected a constant" in swish
    assert "hint: times come from the target" in swish


def test_a_node_that_is_a_constant_now_or_gone(explain: Callable[..., str]) -> None:
    assert explain("--node", "size").splitlines()[0] in (
        "Cast 'size' is a constant now, by fold",
        "Cast 'size' is gone, by fold",
    )


def test_what_one_pass_did(explain: Callable[..., str]) -> None:
    text = explain("--pass", "fuse-activation")
    assert text.startswith("fuse-activation: Write activations by their operators")
    assert "it did: 1 Gelu" in text
    assert "Swish kept as 2 nodes" in text
    assert "it found nothing to do" in explain("--pass", "fuse-conv")
    assert "nearly Gelu" not in explain("--node", "nearly", "--pass", "fuse-conv")


def test_json_has_it_all(explain: Callable[..., str]) -> None:
    found = json.loads(explain("--node", "swish", "--json"))
    assert found["node"]["before"]["name"] == "swish"
    assert found["node"]["refusals"][0]["by"] == "fuse-activation"
    assert (found["node"]["approaches"][0]["rule"], found["node"]["approaches"][0]["matched"]) == (
        "fold-affine-into-conv",
        2,
    )
    assert {each["idiom"] for each in found["idioms"]} == {"Gelu", "Swish"}


def test_unknown_names_are_met_with_the_nearest(run: Run, network: Path) -> None:
    ran = run("explain", network, "--node", "swis")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: there is no node or value 'swis'\nhint: did you mean 'swish'?\n"
    ran = run("explain", network, "--pass", "fuse-con")
    assert "hint: did you mean 'fuse-conv'?" in ran.err
