"""Pipelines as text: they round-trip, and what cannot be read is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import UsageError
from graphopt.ir import Changes
from graphopt.pipeline import Group, Pass, Pipeline


@dataclass(frozen=True)
class Tuned(Pass):
    """A pass with every kind of option."""

    name: ClassVar[str] = "tuned"
    size: int = 3
    rate: float = 0.5
    keep: bool = False
    label: str = "plain"
    names: tuple[str, ...] = ()

    def apply(self, model: ir.Model, changes: Changes) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Other(Pass):
    """A pass without options."""

    name: ClassVar[str] = "other"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        """Do nothing."""


CATALOG: dict[str, type[ir.passes.PassBase]] = {"tuned": Tuned, "other": Other}
FOREIGN = "onnx_ir.passes.common.identity_elimination:IdentityEliminationPass"

passes = st.one_of(
    st.just(Other()),
    st.builds(
        Tuned,
        size=st.integers(-10, 1000),
        rate=st.floats(allow_nan=False),
        keep=st.booleans(),
        label=st.text(alphabet=st.characters(codec="utf-8"), max_size=8),
        names=st.lists(st.text('ab ,}]"\\', max_size=4), max_size=3).map(tuple),
    ),
)
items = st.recursive(
    passes,
    lambda inner: st.builds(Group, st.lists(inner, min_size=1, max_size=3).map(tuple), st.integers(1, 20)),
    max_leaves=5,
)


@given(st.lists(items, max_size=4))
def test_every_pipeline_round_trips(found: list[Pass | Group]) -> None:
    pipeline = Pipeline(found)
    assert Pipeline.parse(str(pipeline), CATALOG) == pipeline


@pytest.mark.parametrize(
    "text",
    [
        "",
        "other",
        "other,tuned{size=4}",
        "{other,tuned{keep=true}}*",
        "{other,{other}*3}*",
        "tuned{names=[a,b]}",
        "other,tuned{size=4,label=percentile{p=99.9}},other",
        "tuned{names=[a{b=1,c=2},d]}",
    ],
)
def test_text_comes_back_as_it_was(text: str) -> None:
    assert str(Pipeline.parse(text, CATALOG)) == text


def test_blanks_do_not_matter() -> None:
    assert Pipeline.parse(" other , { tuned { size = 4 } } * ", CATALOG) == Pipeline.parse(
        "other,{tuned{size=4}}*", CATALOG
    )


def test_a_pass_of_another_project_is_named_by_its_class() -> None:
    pipeline = Pipeline.parse(f"other,{FOREIGN}", CATALOG)
    assert str(pipeline) == f"other,{FOREIGN}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("othr", "there is no pass 'othr'; did you mean 'other'"),
        ("tuned{sise=4}", "pass 'tuned' has no option 'sise'; it has: keep, label, names, rate, size"),
        ("tuned{sise=4}", "did you mean 'size'"),
        ("tuned{lab=a}", "did you mean 'label'"),
        ("tuned{size=big}", "option 'size' is 'big', expected int"),
        ("tuned{keep=perhaps}", "option 'keep' is 'perhaps', expected bool"),
        ("{other", "expected '}'"),
        ("{other}", "expected '\\*'"),
        ("other tuned", "expected a comma"),
        ("tuned{size=", "it ends too early"),
        ("no.such.module:Class", "cannot load the pass 'no.such.module:Class'"),
        ("collections:OrderedDict", "'collections:OrderedDict' is not an onnx_ir pass"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pipeline.parse(text, CATALOG)


@pytest.mark.parametrize("spelled", ["percentile{p=99.9}", '"percentile{p=99.9}"', " percentile{p=99.9} "])
def test_values_have_options_of_their_own(spelled: str) -> None:
    pipeline = Pipeline.parse(f"tuned{{label={spelled}}}", CATALOG)
    assert [each.label for each in pipeline.passes() if isinstance(each, Tuned)] == ["percentile{p=99.9}"]
    assert Pipeline.parse("tuned{label=a{b={c=1}},size=4}", CATALOG) == Pipeline(
        [Tuned(label="a{b={c=1}}", size=4)]
    )


@pytest.mark.parametrize("text", ["tuned{size=", "tuned{label=a{b=1}", "tuned{size=4", "tuned{size 4}", "}"])
def test_a_message_quotes_the_item_at_fault_alone(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        Pipeline.parse(",".join([*["other"] * 200, text]), CATALOG)
    assert text[:4] in raised.value.message
    assert len(raised.value.message) < 100


def test_a_level_is_no_pass() -> None:
    with pytest.raises(UsageError, match="there is no pass '-O2'") as raised:
        Pipeline.parse("-O2,other", CATALOG)
    assert "pipeline_for(2, '-O2,dce', ())" in (raised.value.hint or "")


def test_passes_can_be_left_out_by_name_or_text() -> None:
    pipeline = Pipeline.parse("other,{tuned{size=4},tuned}*,other", CATALOG)
    assert str(pipeline.without("other")) == "{tuned{size=4},tuned}*"
    assert str(pipeline.without("tuned{size=4}")) == "other,{tuned}*,other"
