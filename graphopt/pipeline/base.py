"""What a pass is: a frozen dataclass whose fields are its options, and an `onnx_ir` pass.

A pass changes a model in place and says what it did and what it refused. It never checks numbers, measures
or prints: the pipeline and the driver do.
"""

from __future__ import annotations

import abc
import dataclasses
import inspect
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import WATCHED_KEY, Changes, Operator, Rule, outdate_shapes, rewrite

ERROR_OF_8_BITS = 2.0**-7
"""Half a step of 8 bits over a tensor of both signs, as a share of its largest element, and as much again."""


@dataclasses.dataclass
class Outcome(ir.passes.PassResult):
    """An `onnx_ir` pass result that also says what was done.

    Attributes:
        changes: Counts of changes and refusals.
    """

    changes: Changes = dataclasses.field(default_factory=Changes)


@dataclasses.dataclass(frozen=True)
class Pass(ir.passes.InPlacePass):
    """Base of all passes; subclasses are frozen dataclasses that set `name` and implement `apply`.

    Attributes:
        name: Name on the command line, in pipelines, and of the file (with underscores).
        exact: Every change leaves all outputs bit for bit as they were.
        keeps_defaults: Inputs with a default stay inputs.
        only_removes: Of what stays, it changes nothing that shape inference looks at.
        lossy: It stores numbers in fewer bits or leaves some out, so outputs change by more than rounding, as
            they are meant to.
        comes_last: Others put together again what it takes apart, so no group should repeat it beside them.
        reshapes: Values keep their names and get other shapes, as where channels go.
        remark: What a user should know of a model that it changed; "" for nothing.
        without_data: Options with which a pass that needs data needs none, as text; "" if there are none.
    """

    name: ClassVar[str]
    exact: ClassVar[bool] = False
    keeps_defaults: ClassVar[bool] = True
    only_removes: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    comes_last: ClassVar[bool] = False
    reshapes: ClassVar[bool] = False
    remark: ClassVar[str] = ""
    without_data: ClassVar[str] = ""

    @abc.abstractmethod
    def apply(self, model: ir.Model, changes: Changes) -> None:
        """Change `model` in place and count in `changes`; a second call must change nothing."""

    @property
    def needs_data(self) -> bool:
        """Whether it can do nothing unless its caller hands calibration data over with the model."""
        return False

    @property
    def largest_error(self) -> float:
        """By how much a lossy pass moves an element of a tensor at most, as a share of its largest element.

        That of 8 bits, with a bit to spare; a pass that stores numbers in fewer says so. 0 where not lossy.
        """
        return ERROR_OF_8_BITS if self.lossy else 0.0

    def roots(self) -> frozenset[Operator] | None:
        """Operators of which a model must hold one for the pass to find work; None if it must always look."""
        return None

    def call(self, model: ir.Model) -> Outcome:
        """Run the pass; the face that `onnx_ir` knows."""
        changes = Changes(watched=model.meta.get(WATCHED_KEY, set()))
        self.apply(model, changes)
        if changes.count and not self.only_removes:
            outdate_shapes(model)
        return Outcome(model, changes.count > 0, changes)

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(cls) or "").partition("\n")[0]


@dataclasses.dataclass(frozen=True)
class RewritePass(Pass):
    """A pass that is nothing but rules for the rewrite engine."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    def roots(self) -> frozenset[Operator] | None:
        """The roots of the patterns of all rules; a subclass whose `apply` does more must say more."""
        return frozenset(
            root for rule in self.rules for pattern in rule.patterns for root in pattern.operators
        )

    def apply(self, model: ir.Model, changes: Changes) -> None:
        rewrite(model, self.rules, changes)
