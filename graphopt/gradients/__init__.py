"""Reverse-mode differentiation of a graph, written as a graph: its own nodes and those of its gradients.

Only gradients of values are made, none of weights as parameters to train. Any runtime that runs the model
runs its gradients too.
"""

from __future__ import annotations

from graphopt.gradients.reverse import OPSET, GradientGraph, Missing, gradient_graph

__all__ = ["OPSET", "GradientGraph", "Missing", "gradient_graph"]
