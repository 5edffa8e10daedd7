"""Sequences, which are Python lists, and optional values, which are the value or None."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.sizes import Sizes
from graphopt.pytorch.functional import sequences


@translates("SequenceConstruct")
def construct(site: Site) -> fx.Node:
    return site.call(sequences.construct, *[site.tensor(index) for index in range(len(site.node.inputs))])


@translates("SequenceEmpty")
def empty(site: Site) -> fx.Node:
    return site.call(sequences.construct)


@translates("SequenceAt")
def at(site: Site) -> fx.Node:
    return site.call(sequences.at, site.tensor(0), _position(site, 1))


@translates("SequenceInsert")
def insert(site: Site) -> fx.Node:
    return site.call(sequences.insert, site.tensor(0), site.tensor(1), position=_position(site, 2))


@translates("SequenceErase")
def erase(site: Site) -> fx.Node:
    return site.call(sequences.erase, site.tensor(0), position=_position(site, 1))


@translates("SequenceLength")
def length(site: Site) -> Sizes:
    return Sizes((site.call(len, site.tensor(0)),), ())


@translates("SplitToSequence")
def split(site: Site) -> fx.Node:
    axis, keep = site.attribute("axis", 0), site.attribute("keepdims", 1)
    if not site.has(1):
        return site.call(sequences.split, site.tensor(0), 1, axis, keepdims=None if keep else False)
    known = site.sizes(1)
    is_scalar = site.rank(1) == 0 if known is None else known.shape == ()
    parts = site.number(1) if is_scalar else site.ints(1)
    return site.call(sequences.split, site.tensor(0), parts, axis)


@translates("ConcatFromSequence")
def concat(site: Site) -> fx.Node:
    axis = site.attribute("axis")
    function = sequences.stack if site.attribute("new_axis", 0) else sequences.concat
    return site.call(function, site.tensor(0), axis)


@translates("SequenceMap")
def sequence_map(site: Site) -> list[fx.Node]:
    body = site.body("body")
    module = site.emitter.submodule(body.module(body.captured), body.hint)
    inputs = [site.tensor(index) for index in range(len(site.node.inputs))]
    results = site.call(sequences.map_, module, inputs, body.captured)
    return [site.item(results, index) for index in range(len(site.node.outputs))]


@translates("Optional")
def optional(site: Site) -> fx.Node:
    return site.tensor(0) if site.has(0) else site.call(sequences.nothing)


@translates("OptionalGetElement")
def element(site: Site) -> fx.Node:
    return site.call(sequences.element, site.tensor(0))


@translates("OptionalHasElement")
def has_element(site: Site) -> Sizes:
    item: Any = site.call(sequences.has_element, site.tensor(0)) if site.has(0) else False
    return Sizes((item,), (), ir.DataType.BOOL)


def _position(site: Site, index: int) -> Any:
    return site.number(index)
