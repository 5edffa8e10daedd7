"""What a target adds to the levels: its own passes at the end of level 2, and itself to passes that ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile import choice, optimize, pipeline_for
from graphopt.compile.levels import lower_levels
from graphopt.errors import UsageError
from graphopt.execute import BenchResult, InputSet
from graphopt.ir import opset
from graphopt.pipeline import Pipeline
from graphopt.targets import Target
from graphopt.testing import parse_model

OWN = Target.load("ort-cpu").passes
GATED = "g (float[N,4] x) => (float[N,4] y) { s = Sigmoid(x) y = Mul(s, x) }"


def test_level_two_ends_with_the_passes_of_the_target() -> None:
    aimed = OWN.replace("spell-out", "spell-out{target=ort-cpu}")
    assert str(pipeline_for(2, None, (), "ort-cpu")).endswith(aimed)
    assert str(pipeline_for(2, "dce,-O2", (), "ort-cpu")).endswith(aimed)
    for level, target in ((2, "portable"), (1, "ort-cpu"), (0, "ort-cpu")):
        assert aimed not in str(pipeline_for(level, None, (), target))


def test_passes_that_ask_for_a_target_get_it_unless_one_was_given(tmp_path: Path) -> None:
    for passes in ("{join-sums}*", Pipeline.parse("join-sums")):
        assert "join-sums{target=ort-cpu}" in str(pipeline_for(2, passes, (), "ort-cpu"))
    given = pipeline_for(2, "join-sums{target=ort-cpu}", (), "portable")
    assert str(given) == "join-sums{target=ort-cpu}"
    file = tmp_path / "a target.toml"
    file.write_text('name = "n"\ndescription = "d"\ndomains = [""]\n')
    aimed = pipeline_for(2, "join-sums", (), str(file))
    assert Pipeline.parse(str(aimed)) == aimed != Pipeline.parse("join-sums")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown target 'gpu'"):
        pipeline_for(2, None, (), "gpu")


def test_standard_operators_come_before_lower_levels() -> None:
    less = lower_levels(2, ("cse",), "ort-cpu")
    assert next(iter(less)) == "-O2 in standard operators"
    assert all(OWN not in str(pipeline) for pipeline in less.values())
    assert all("cse" not in str(pipeline).split(",") for pipeline in less.values())
    assert "-O2 in standard operators" not in lower_levels(2, (), "portable")


def test_the_domain_of_a_target_is_imported_where_it_is_used() -> None:
    result = optimize(parse_model(GATED), target="ort-cpu", measure=False)
    assert [node.op_type for node in result.model.graph] == ["QuickGelu"]
    assert opset(result.model, "com.microsoft") == 1
    assert result.report.check is not None and result.report.check.equal
    plain = optimize(parse_model(GATED), measure=False)
    assert {node.domain for node in plain.model.graph} == {""}
    assert "com.microsoft" not in plain.model.graph.opset_imports


@pytest.fixture
def rivals_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`rivals_of(time)`: what is measured of a level, where the original takes 2 and its rival 1."""

    def take(time: float) -> None:
        def timed(models: Sequence[object], **_: object) -> BenchResult:
            times = [2.0, time, 1.0][: len(models)]
            return BenchResult([[each] * 40 for each in times], InputSet({}))

        monkeypatch.setattr(choice, "bench", timed)

    return take


@pytest.mark.parametrize(("time", "emitted"), [(1.2, "Sigmoid Mul"), (1.02, "QuickGelu"), (0.9, "QuickGelu")])
def test_forms_of_a_target_that_measure_slower_give_way(
    rivals_of: Callable[[float], None], time: float, emitted: str
) -> None:
    rivals_of(time)
    result = optimize(parse_model(GATED), target="ort-cpu")
    assert " ".join(node.op_type for node in result.model.graph) == emitted
    assert any("in standard operators, which is taken" in note for note in result.report.notes) == (
        emitted != "QuickGelu"
    )


DEAD_CHANNELS = """g (float[1,8,6,6] x, float[24,8,3,3] w, float[8,24,3,3] v) => (float[1,8,2,2] y) {
    h = Conv(x, w) a = Relu(h) y = Conv(a, v) }"""


def with_dead_channels(count: int) -> ir.Model:
    """Of 24 channels between two convolutions so many are zero."""
    random = np.random.default_rng(0)
    first, second = (random.normal(size=size).astype(np.float32) for size in ((24, 8, 3, 3), (8, 24, 3, 3)))
    first[:count] = 0.0
    return parse_model(DEAD_CHANNELS, weights={"w": first, "v": second})


@pytest.mark.parametrize(("time", "left"), [(1.2, 24), (1.02, 21), (0.9, 21)])
def test_dead_channels_stay_only_where_that_measures_faster(
    rivals_of: Callable[[float], None], time: float, left: int
) -> None:
    rivals_of(time)
    result = optimize(with_dead_channels(3))
    assert result.model.graph.initializers["w"].shape == (left, 8, 3, 3)


def test_all_dead_channels_go_where_nothing_is_measured() -> None:
    result = optimize(with_dead_channels(3), measure=False)
    assert result.model.graph.initializers["w"].shape == (21, 8, 3, 3)
