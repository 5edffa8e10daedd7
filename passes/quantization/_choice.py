"""Choose the nodes that run on codes so that all nodes and all conversions together take least time.

Each unit is in float or on codes; a value that passes from one side to the other costs a conversion, once for
all of its readers. The cheapest choice is a minimum cut. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

import onnx_ir as ir

from graphopt.cost import CodeRates, Sizes
from graphopt.ir import constant_tensor
from graphopt.passes.layout._cut import INFINITE, Network
from graphopt.passes.quantization._units import Unit

_PARTS = 1000
"""Capacities are whole picoseconds."""


def choose(graph: ir.Graph, units: Mapping[ir.Node, Unit], rates: CodeRates, sizes: Sizes) -> list[Unit]:
    """The units to run on codes.

    Args:
        graph: The main graph.
        units: All that could, by node.
        rates: What nodes and conversions take.
        sizes: How many elements a value has.
    """
    network = Network()  # on the source's side: on codes
    vertices: dict[ir.Node, int] = {}
    for node, unit in units.items():
        vertices[node] = vertex = network.vertex()
        network.arc(vertex, Network.SINK, _parts(rates.code_time(node, sizes)))
        network.arc(Network.SOURCE, vertex, _parts(rates.float_time(node, sizes)))
        if unit.tail is not None:
            vertices[unit.tail] = vertex
    for value, maker in _made(graph, units):
        _join(
            network,
            value,
            None if maker is None else vertices[maker.node],
            maker,
            vertices,
            units,
            rates,
            sizes,
        )
    side = network.source_side()
    return [unit for node, unit in units.items() if vertices[node] in side]


def settle(chosen: Iterable[Unit], *, outputs: bool) -> list[Unit]:
    """Units of which some readers want codes and others floats made to write codes for all.

    A runtime that writes codes or floats at will wants a Q to be the only reader, or none. Where that cannot
    be, as behind a graph output, the unit is left out.

    Args:
        chosen: Units to run on codes.
        outputs: Graph outputs may come from codes.
    """
    units = list(chosen)
    reading: dict[ir.Value, set[ir.Node]] = {}
    for unit in units:
        for value in unit.reads:
            reading.setdefault(value, set()).add(unit.node)
    settled = []
    for unit in units:
        if unit.must_write_codes:
            settled.append(unit)
            continue
        mixed = [value for value in unit.writes if value in reading and not _alone(value, reading[value])]
        if not mixed:
            settled.append(unit)
        elif outputs or not any(value.is_graph_output() for value in mixed):
            settled.append(replace(unit, for_all=True))
    return settled


def _alone(value: ir.Value, readers: Collection[ir.Node]) -> bool:
    return not value.is_graph_output() and all(use.node in readers for use in value.uses())


def _made(graph: ir.Graph, units: Mapping[ir.Node, Unit]) -> Iterator[tuple[ir.Value, Unit | None]]:
    """The float values that nodes could read as codes, each with the unit that writes it."""
    inner = {unit.node: unit for unit in units.values() if unit.tail is not None}
    tails = {unit.tail: unit for unit in inner.values()}
    for value in graph.inputs:
        yield value, None
    for node in graph:
        if node in inner:
            continue  # its tail writes what others read
        unit = tails.get(node) or units.get(node)
        for value in node.outputs:
            yield value, unit


def _join(
    network: Network,
    value: ir.Value,
    maker: int | None,
    unit: Unit | None,
    vertices: Mapping[ir.Node, int],
    units: Mapping[ir.Node, Unit],
    rates: CodeRates,
    sizes: Sizes,
) -> None:
    """The arcs of one value: what it costs where its maker and its readers are on different sides."""
    if value.dtype not in (ir.DataType.FLOAT, None) or constant_tensor(value) is not None:
        return
    readers = list(dict.fromkeys(use.node for use in value.uses()))
    able = [vertices[node] for node in readers if node in units and value in units[node].reads]
    fixed = [node for node in readers if node not in units or value not in units[node].reads]
    size = sizes(value)
    if able:
        needed = network.vertex()  # on the source's side as soon as a reader is
        for reader in able:
            network.arc(reader, needed, INFINITE)
        quantize = _parts(rates.quantize.node + rates.quantize.output * size)
        network.arc(needed, Network.SINK if maker is None else maker, quantize)
    if maker is None or unit is None:
        return
    for node in readers:
        lost = _parts(rates.unfused_time(node, sizes))
        if lost:
            network.arc(maker, vertices[node] if node in units else Network.SINK, lost)
    if not unit.must_write_codes:
        return
    dequantize = _parts(rates.dequantize.node + rates.dequantize.output * size)
    if fixed or value.is_graph_output():
        network.arc(maker, Network.SINK, dequantize)
    elif able:
        spared = network.vertex()  # on the source's side if all readers are
        network.arc(maker, spared, dequantize)
        for reader in able:
            network.arc(spared, reader, INFINITE)


def _parts(nanoseconds: float) -> int:
    return round(max(nanoseconds, 0.0) * _PARTS)
