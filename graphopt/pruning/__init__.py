"""Pruning as analysis and arithmetic: dependency groups, importance, allocation, compensation, zeros.

Pure: nothing here changes a graph. What goes is taken out by the passes.
"""

from __future__ import annotations

from graphopt.pruning.groups import Group, Groups, Refusal, dependency_groups
from graphopt.pruning.site import Axis, Sink

__all__ = ["Axis", "Group", "Groups", "Refusal", "Sink", "dependency_groups"]
