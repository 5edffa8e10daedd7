"""Attributes to their defaults."""

from __future__ import annotations

from graphopt.ir import nodes
from graphopt.testing.reduce.case import Case, Take
from graphopt.testing.reduce.reductions.operands import schema_of


def drop_attributes(case: Case, take: Take) -> None:
    """Leave out each attribute that a node can do without."""
    for node in nodes(case.model):
        schema = schema_of(case.model, node)
        known = {} if schema is None else schema.attributes
        one_of = node.op_type == "Constant"  # which has one attribute of many, each of them optional
        for name in [] if one_of else list(node.attributes):
            if (name not in known or not known[name].required) and take():
                del node.attributes[name]
