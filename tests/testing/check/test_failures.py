"""What a failure says, how it is reduced and saved, and that the command it names shows it again."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

from graphopt.cli.app import app
from graphopt.ir import Rule, op, rule, var
from graphopt.pipeline import Pipeline, RewritePass
from graphopt.testing import PassFailure, check_pass, format_model, parse_model, reduce_failure, save_failure
from graphopt.testing.broken import ChangesNumbers

CHANGES = "graphopt.testing.broken:ChangesNumbers"
TEXT = """g (float[N, 4] x, float[4] unused) => (float[N, 4] y, float[N, 4] z) <float[4] w = {1, 2, 0.5, 3}>
    { a = Add(x, w) b = Exp(a) y = Mul(b, w) z = Neg(a) d = Relu(z) }"""


def failure_of(what: Any = CHANGES, model: Any = TEXT, **options: Any) -> PassFailure:
    with pytest.raises(PassFailure) as caught:
        check_pass(what, model, **options)
    return caught.value


def test_the_message_names_the_pass_the_property_and_the_model() -> None:
    failure = failure_of()
    text = str(failure)
    assert text.startswith(f"{CHANGES} breaks 'numbers': output 'y': ")
    assert "y = Mul (b, w)" in text
    assert text.endswith(f"graphopt check-pass {CHANGES} model.onnxtxt")
    assert isinstance(failure, AssertionError) and (failure.what, failure.property) == (CHANGES, "numbers")


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (ChangesNumbers(), CHANGES),
        (ChangesNumbers("Mul", "Sub"), f"'{CHANGES}{{after=Sub}}'"),
        (f"{CHANGES}{{after=Sub}},dce", f"'{CHANGES}{{after=Sub}},dce'"),
    ],
)
def test_the_command(what: Any, text: str) -> None:
    assert failure_of(what).command(Path("m.onnx")) == f"graphopt check-pass {text} m.onnx"


def test_the_command_of_options_and_of_what_has_no_name() -> None:
    failure = failure_of(lambda model: ChangesNumbers()(model), rtol=1e-3)
    command = failure.command(Path("m.onnx"), Path("m.npz"))
    assert "--inputs m.npz --rtol 0.001" in command
    assert command.endswith("# once the pass stands in a module of its own")


def test_reduced_to_the_node_at_fault() -> None:
    reduced = reduce_failure(failure_of())
    assert [node.op_type for node in reduced.proto.graph.node] == ["Mul"]
    assert reduced.property == "numbers"


@pytest.mark.parametrize("what", [CHANGES, "graphopt.testing.broken:Raises"])
def test_what_was_saved_fails_again(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved = save_failure(reduce_failure(failure_of(what)), tmp_path / "failures", "my test[1/2]")
    assert saved.model.parent == tmp_path / "failures" and saved.model.name.startswith("my-test-1-2-")
    assert saved.command in saved.text and "failures/my-test" in saved.command
    program, *arguments = shlex.split(saved.command)
    ran = CliRunner().invoke(app, arguments)
    assert program == "graphopt" and ran.exit_code == 1, ran.output
    assert f"breaks {saved.failure.property!r}" in ran.stdout


def test_inputs_are_saved_where_no_others_show_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "g (float[2] x) => (float[2] y) { y = Relu(x) }"
    rare = [{"x": np.array([7.25, 1e30], np.float32)}]

    failure = failure_of(f"{__file__}:CutsLargeNumbers", text, inputs=rare)
    saved = save_failure(failure, tmp_path)
    assert saved.inputs is not None and f"--inputs {saved.inputs.name}" in saved.command
    assert CliRunner().invoke(app, shlex.split(saved.command)[1:]).exit_code == 1
    assert save_failure(failure_of(), tmp_path).inputs is None


@pytest.mark.parametrize(
    ("folder", "ignored"),
    [(".graphopt/failures", [".graphopt"]), ("failures", []), (".graphopt", [".graphopt"])],
)
def test_what_is_saved_stays_out_of_a_repository(tmp_path: Path, folder: str, ignored: list[str]) -> None:
    """In the folder of graphopt alone; and who takes the file away keeps it away."""
    save_failure(failure_of(), tmp_path / folder)
    found = list(tmp_path.rglob(".gitignore"))
    assert [str(each.parent.relative_to(tmp_path)) for each in found] == ignored
    for each in found:
        each.unlink()
    save_failure(failure_of(), tmp_path / folder)
    assert not list(tmp_path.rglob(".gitignore"))


def test_a_minimal_model_with_inputs_is_not_saved_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "g (float[1] x0) => (float[1] y0) { y0 = Relu(x0) }"
    rare = [{"x0": np.array([1e30], np.float32)}]
    failure = failure_of(f"{__file__}:CutsLargeNumbers", text, inputs=rare)
    saved = save_failure(reduce_failure(failure), tmp_path)
    ran = CliRunner().invoke(app, shlex.split(saved.command)[1:])
    assert ran.exit_code == 1 and "saved as" not in ran.stdout and saved.command in ran.stdout
    assert not (tmp_path / ".graphopt").exists()


class CutsLargeNumbers(ir.passes.InPlacePass):
    """A Relu has no upper bound: wrong for large inputs alone."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        relus = [node for node in model.graph if node.op_type == "Relu"]
        for node in relus:
            bounds = (
                ir.node("Constant", [], {"value_float": 0.0}),
                ir.node("Constant", [], {"value_float": 1e20}),
            )
            for bound in bounds:
                model.graph.insert_before(node, bound)
            bounds[0].outputs[0].name, bounds[1].outputs[0].name = "low", "high"
            node.op_type = "Clip"
            node.resize_inputs(3)
            for index, bound in enumerate(bounds, 1):
                node.replace_input_with(index, bound.outputs[0])
        return ir.passes.PassResult(model, bool(relus))


def test_a_failure_that_comes_and_goes_is_kept_as_it_is() -> None:
    runs = []

    def once(model: ir.Model) -> None:
        runs.append(model)
        if len(runs) == 1:
            raise ValueError("this once")

    failure = failure_of(once)
    assert reduce_failure(failure) is failure


@pytest.mark.parametrize(
    ("array", "holds"),
    [
        (np.array([1.5, np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], np.float32), True),
        (np.array([1 / 3, 5e-324, np.nan]), True),
        (np.zeros((0, 3), np.float32), True),
        (np.array(True), True),
        (np.array([2**64 - 1], np.uint64), True),
        (ir.tensor([1.5, float("nan")], ir.DataType.BFLOAT16), True),
        (ir.tensor([1.5, float("inf")], ir.DataType.FLOAT16), True),
        (ir.tensor([1, -8, 7], ir.DataType.INT4), False),
        (ir.StringTensor(np.array([b"a\xff"], object)), False),
    ],
)
def test_text_says_whether_it_holds_the_model(array: Any, holds: bool) -> None:
    tensor = array if isinstance(array, ir.TensorProtocol) else ir.tensor(array)
    proto = ir.to_proto(parse_model("g () => (float[1] y) { y = Constant<value_float = 1.0>() }", opset=21))
    (attribute,) = proto.graph.node[0].attribute
    attribute.CopyFrom(ir.serde.serialize_attribute(ir.AttrTensor("value", tensor)))
    del proto.graph.output[0].type.tensor_type.shape.dim[:]
    proto.graph.output[0].type.tensor_type.elem_type = tensor.dtype.value
    text, whole = format_model(proto)
    assert whole == holds
    if holds:
        (node,) = onnx.parser.parse_model(text).graph.node
        again = ir.from_proto(node.attribute[0].t)
        assert (again.dtype, again.tobytes()) == (tensor.dtype, tensor.tobytes())


def test_a_message_for_what_text_cannot_hold() -> None:
    text = TEXT.replace("z = Neg(a)", "z = Neg(a) q = Constant<value = int64[1] {1}>()")
    model = parse_model(text, opset=21)
    constant = next(node for node in model.graph if node.op_type == "Constant")
    constant.attributes["value"] = ir.AttrTensor("value", ir.tensor([1, -8], ir.DataType.INT4))
    assert "onnx.save(failure.proto, path)" in str(failure_of(model=model))


class LeavesNoOutputs(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        model.graph.outputs.clear()
        return ir.passes.PassResult(model, True)


class LeavesALoop(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        node = model.graph[0]
        node.replace_input_with(0, node.outputs[0])
        return ir.passes.PassResult(model, True)


class LeavesWhatDoesNotRun(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        model.graph[0].domain, model.graph[0].op_type = "nobody", "Knows"
        model.opset_imports["nobody"] = 1
        return ir.passes.PassResult(model, True)


def leaves_a_loop(model: ir.Model) -> None:
    LeavesALoop()(model)


@pytest.mark.parametrize("what", [LeavesNoOutputs, LeavesALoop, LeavesWhatDoesNotRun, leaves_a_loop])
def test_a_failure_that_says_all_has_no_cause(what: Any) -> None:
    """Nor does a traceback of it show what it was told in between."""
    failure = failure_of(what)
    assert failure.__cause__ is None and failure.__suppress_context__
    assert failure.property != "raises"


def raise_key(tape: Any, x: Any) -> ir.Value:
    raise KeyError(x.name)


@dataclasses.dataclass(frozen=True)
class RaisesInARule(RewritePass):
    """Raise where a Relu is."""

    name: ClassVar[str] = "raises-in-a-rule"
    rules: ClassVar[tuple[Rule, ...]] = (rule(op("Relu", var("x")))(raise_key),)


class RaisesInALibrary(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        model.graph.remove(list(model.graph), safe=True)
        return ir.passes.PassResult(model, True)


class RaisesTheSecondTime(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        assert model.graph.name != "seen"
        model.graph.name = "seen"
        return ir.passes.PassResult(model, True)


def raises_at_once(model: ir.Model) -> None:
    raise RuntimeError("at once")


@pytest.mark.parametrize(
    ("what", "kind", "function"),
    [
        (RaisesInARule, KeyError, raise_key),
        (RaisesInALibrary, ValueError, RaisesInALibrary.call),
        (RaisesTheSecondTime, AssertionError, RaisesTheSecondTime.call),
        (raises_at_once, RuntimeError, raises_at_once),
        ([RaisesInARule, "dce"], KeyError, raise_key),
    ],
)
def test_what_a_pass_raised_is_shown_with_its_place(what: Any, kind: type, function: Any) -> None:
    """The line of the pass's author, and the error itself without what led to their code."""
    if isinstance(what, list):
        what = Pipeline([what[0](), *Pipeline.parse(what[1]).items])
    failure = failure_of(what)
    line = function.__code__.co_firstlineno + 1
    assert failure.property == "raises"
    assert failure.detail.endswith(f"{Path(__file__).name}:{line}, in {function.__name__})")
    cause = failure.__cause__
    assert type(cause) is kind and cause is not None and cause.__traceback__ is not None
    assert cause.__traceback__.tb_frame.f_code.co_filename == __file__


def test_what_raises_in_graphopt_has_no_place_of_theirs() -> None:
    failure = failure_of("graphopt.testing.broken:Raises")
    assert isinstance(failure.__cause__, ZeroDivisionError)
    assert ".py:" not in failure.detail
