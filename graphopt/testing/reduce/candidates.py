"""From an edited case to a candidate: consistent, in a form that can be shown, and valid.

It asks nobody anything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import onnx_ir as ir

from graphopt.ir import SYMBOLIC_VALUE_KEY, infer_shapes, nodes
from graphopt.ir.ops import KNOWN_DOMAINS
from graphopt.testing.branches import repeated_ends
from graphopt.testing.reduce import valid
from graphopt.testing.reduce.case import Case, true_shape, true_type
from graphopt.testing.reduce.pack import Packer, digest
from graphopt.testing.reduce.tidy import drop_unused_values, tidy

Claim = tuple["ir.TypeProtocol | None", "ir.Shape | None"]


@dataclasses.dataclass
class Candidate:
    """A smaller model.

    Attributes:
        case: With shapes inferred.
        shown: Its model as others get to see it.
        packed: That model, packed.
        key: Digest of `packed`.
    """

    case: Case
    shown: ir.Model
    packed: bytes
    key: str


@dataclasses.dataclass(frozen=True)
class Form:
    """How much of the original's form candidates keep, where a failure hangs on it.

    Attributes:
        tidy: Removes what is not used.
        claims: What the original says of types and shapes of values that its nodes compute.
    """

    tidy: Callable[[ir.Model], None]
    claims: Mapping[str, Claim]


def _keep_all(model: ir.Model) -> None:
    """What is not used stays."""


def forms(original: ir.Model) -> list[Form]:
    """From the plainest form to the original's own."""
    claims = {
        value.name or "": (value.type, value.shape)
        for node in nodes(original)
        for value in node.outputs
        if value.type is not None
    }
    tidies: tuple[Callable[[ir.Model], None], ...] = (tidy, drop_unused_values, _keep_all)
    return [Form(how, said) for said in ({}, claims) for how in tidies]


class Candidates:
    """Makes candidates of edited cases.

    Args:
        original: Only read.

    Attributes:
        form: Of those made from now on.
        original_key: The digest of the original.
    """

    def __init__(self, original: ir.Model) -> None:
        self.form = forms(original)[0]
        self._packer = Packer(original)
        self._original = self._packer.pack(original)
        self.original_key = digest(self._original)
        self._repeated_ends = repeated_ends(original)
        self._is_accepted = valid.strictest_check(self._original)

    def identity(self) -> str:
        """A digest of the original with all its weights, which are read for it."""
        return digest(self._original + self._packer.weights())

    def make(self, case: Case, *, reshaped: bool) -> Candidate | None:
        """The candidate of a case, made consistent in place; None if its structure is not valid.

        Args:
            case: Edited.
            reshaped: Values may have got other types and shapes.
        """
        self.form.tidy(case.model)
        if reshaped:
            self.infer(case.model)
        else:
            _take_over_what_was_seen(case)
        if not valid.is_well_formed(case.model) or repeated_ends(case.model) > self._repeated_ends:
            return None
        names = {value.name for value in case.model.graph.inputs}
        case.feeds = [{name: array for name, array in feed.items() if name in names} for feed in case.feeds]
        shown = self.shown(case)
        packed = self._packer.pack(shown)
        return Candidate(case, shown, packed, digest(packed))

    def infer(self, model: ir.Model) -> None:
        """Find out types and shapes again; outputs that nothing is known about keep their types and ranks."""
        for node in model.graph:
            if node.op_identifier() in model.functions:
                for value in node.outputs:
                    value.type = value.shape = None
            elif node.domain not in KNOWN_DOMAINS:
                for value in node.outputs:
                    value.shape = None if value.shape is None else ir.Shape([None] * len(value.shape))
        before = [(value, value.type, value.shape) for value in model.graph.outputs]
        infer_shapes(model)
        if any(value.type is None for node in model.graph for value in node.outputs):
            valid.fill_in_types(model, self._packer.pack(model))
        for value, type_, shape in before:
            value.type = value.type or type_
            if value.shape is None and shape is not None:
                value.shape = ir.Shape([None] * len(shape))

    def is_valid(self, candidate: Candidate) -> bool:
        """Whether onnx accepts the candidate as it did the original, and it runs on its inputs.

        What its values are on them is noted in its case.
        """
        case = candidate.case
        seen = valid.observe(case.model, case.feeds) if self._is_accepted(candidate.packed) else None
        if seen is None:
            return False
        case.seen = seen
        for value in (value for node in case.model.graph for value in node.outputs if value.name):
            arrays = case.arrays(value) or ()
            if value.type is None:
                value.type = true_type(arrays)
            value.shape = true_shape(value.shape, arrays)
        for value in candidate.shown.graph.outputs:
            value.shape = true_shape(value.shape, case.arrays(value) or ())
        return True

    def shown(self, case: Case) -> ir.Model:
        """The model as others get to see it: without the claims about inner values that inference made."""
        model = case.model.clone()
        for node in nodes(model):
            for value in node.outputs if node.domain in KNOWN_DOMAINS else ():
                value.metadata_props.pop(SYMBOLIC_VALUE_KEY, None)
                inferred = (value.type, value.shape) if value.is_graph_output() else (None, None)
                value.type, value.shape = self.form.claims.get(value.name or "", inferred)
        return model


def _take_over_what_was_seen(case: Case) -> None:
    """Give new outputs the shapes that they had in the runs, where inference found none."""
    for value in case.model.graph.outputs:
        if value.shape is None and isinstance(value.type, ir.TensorType):
            value.shape = true_shape(None, case.arrays(value) or ())
