"""The Signature of a traced module: its nested inputs and outputs, and the flat named ones of the graph.

Only rearranges and names values; it runs nothing. Needs torch when used, not when imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.errors import UsageError
from graphopt.pytorch.arrays import to_numpy

if TYPE_CHECKING:
    from torch.utils._pytree import TreeSpec

SIGNATURE_KEY = "graphopt.signature"
"""Where `ir.Model.meta` holds the Signature; it is never written to a file."""


@dataclass(frozen=True)
class Leaf:
    """One leaf of nested inputs or outputs.

    Attributes:
        name: The graph's value, or None for a leaf that is no part of the graph.
        constant: What stands there instead: a number, text or None.
    """

    name: str | None
    constant: Any = None


@dataclass(frozen=True)
class Signature:
    """How the flat values of a graph make up the arguments and the result of a module's forward.

    Attributes:
        parameters: Names of forward's parameters, in order.
        input_spec: Structure (pytree) of `(args, kwargs)`.
        inputs: Its leaves.
        output_spec: Structure of the result.
        outputs: Its leaves; several may have the name of one graph output.
        state: Graph output that holds the next value -> the graph input it replaces (a buffer, or an
            argument that forward writes to).
        notes: What a caller should know about the trace, a sentence each.
    """

    parameters: tuple[str, ...]
    input_spec: TreeSpec = field(repr=False)
    inputs: tuple[Leaf, ...]
    output_spec: TreeSpec = field(repr=False)
    outputs: tuple[Leaf, ...]
    state: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The graph inputs that a call has to give, in order; state has defaults and is not among them."""
        return tuple(leaf.name for leaf in self.inputs if leaf.name is not None)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The graph outputs that make up the result, each once, in order."""
        return tuple(dict.fromkeys(leaf.name for leaf in self.outputs if leaf.name is not None))

    def flatten(self, example_inputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        """Example inputs, in any form that `trace` takes, as arrays by graph input name.

        Raises:
            UsageError: their structure is not that of the traced example inputs.
        """
        args, kwargs = arguments(example_inputs, self.parameters)
        return {name: to_numpy(value) for name, value in self.flatten_call(args, kwargs).items()}

    def flatten_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by graph input name; constants are left out.

        Raises:
            UsageError: the structure of the arguments is not the traced one.
        """
        from torch.utils import _pytree as pytree

        leaves, spec = pytree.tree_flatten((tuple(args), dict(kwargs)))
        if spec != self.input_spec:
            leaves = self._rearranged(args, kwargs)
        return {leaf.name: value for leaf, value in zip(self.inputs, leaves, strict=True) if leaf.name}

    def _rearranged(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Arguments given by position where the trace had them by name, or the reverse."""
        from torch.utils import _pytree as pytree

        traced_args, traced_kwargs = pytree.tree_unflatten(list(self.inputs), self.input_spec)
        if len(args) <= len(self.parameters):
            given = {**dict(zip(self.parameters, args, strict=False)), **kwargs}
            names = [*self.parameters[: len(traced_args)], *traced_kwargs]
            if set(names) == set(given) and len(args) + len(kwargs) == len(given):
                positional = tuple(given[name] for name in self.parameters[: len(traced_args)])
                named = {name: given[name] for name in traced_kwargs}
                leaves, spec = pytree.tree_flatten((positional, named))
                if spec == self.input_spec:
                    return list(leaves)
        raise UsageError(
            f"the inputs are not structured as those the module was traced with: "
            f"expected {self.describe_inputs()}",
            hint="give the same arguments, nested the same way",
        )

    def describe_inputs(self) -> str:
        """The inputs in a line, for messages: `input_ids, past.0.key, scale=2`."""
        names = list(self.parameters)
        parts = []
        for index, leaf in enumerate(self.inputs):
            fallback = names[index] if index < len(names) else f"argument {index}"
            parts.append(leaf.name or f"{fallback}={leaf.constant!r}")
        return ", ".join(parts)

    def rebuild(self, values: Mapping[str, Any]) -> Any:
        """The module's nested result.

        Args:
            values: Arrays or tensors by graph output name.
        """
        from torch.utils import _pytree as pytree

        leaves = [leaf.constant if leaf.name is None else values[leaf.name] for leaf in self.outputs]
        return pytree.tree_unflatten(leaves, self.output_spec)

    def flatten_result(self, result: Any) -> dict[str, Any]:
        """What a module returned, by graph output name; the reverse of `rebuild`."""
        from torch.utils import _pytree as pytree

        leaves = pytree.tree_leaves(result)
        return {leaf.name: value for leaf, value in zip(self.outputs, leaves, strict=True) if leaf.name}


def arguments(example_inputs: Any, parameters: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Example inputs as the positional and the named arguments of a call.

    Args:
        example_inputs: A tensor, a tuple or list of arguments, or a dict of arguments by parameter name.
        parameters: The names of forward's parameters; named arguments are brought into their order.
    """
    if isinstance(example_inputs, Mapping) and type(example_inputs) is dict:
        order = {name: index for index, name in enumerate(parameters)}
        names = sorted(example_inputs, key=lambda name: order.get(name, len(order)))
        return (), {name: example_inputs[name] for name in names}
    if type(example_inputs) in (tuple, list):
        return tuple(example_inputs), {}
    return (example_inputs,), {}


def parameter_names(function: Any, given: int = 0) -> tuple[str, ...]:
    """Names of the parameters of a function or bound method, those by position first.

    Args:
        function: The function.
        given: Number of positional arguments; those that go into `*args` are called `args.0` and so on.
    """
    kind = inspect.Parameter
    parameters = list(inspect.signature(function).parameters.values())
    names = [p.name for p in parameters if p.kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD)]
    rest = [p.name for p in parameters if p.kind == kind.VAR_POSITIONAL]
    names += [f"{name}.{index}" for name in rest for index in range(given - len(names))]
    return (*names, *(p.name for p in parameters if p.kind == kind.KEYWORD_ONLY))
