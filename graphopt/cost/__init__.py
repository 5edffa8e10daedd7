"""What a model costs: parameters, MACs, FLOPs, traffic, activation memory and time by roofline.

Pure analysis: nothing here changes a graph. Times are estimates unless something says measured.
"""

from __future__ import annotations

from graphopt.cost.codes import CodeRates, Sizes
from graphopt.cost.dims import SHAPES_KEY
from graphopt.cost.estimate import estimate
from graphopt.cost.machine import lacks_all, load_rates, measure_rates
from graphopt.cost.model_cost import Interval, ModelCost, NodeCost, Parameters
from graphopt.cost.rates import GENERIC, Bandwidth, MachineRates

__all__ = [
    "GENERIC",
    "SHAPES_KEY",
    "Bandwidth",
    "CodeRates",
    "Interval",
    "MachineRates",
    "ModelCost",
    "NodeCost",
    "Parameters",
    "Sizes",
    "estimate",
    "lacks_all",
    "load_rates",
    "measure_rates",
]
