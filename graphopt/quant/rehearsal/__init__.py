"""What a runtime does to a graph before it looks for nodes to run on integer codes, on a copy of it.

The steps are named in a target's rules. Each is a small rewrite that stands for one of the runtime's own; the
copy need not compute, it only has to have the Q, DQ and operators where the runtime has them.

Held against onnxruntime 1.31.1, node by node, on 3,000 generated networks and what its own tools make of eight
real ones. What it does beyond is not rehearsed: one node of 14,400 differed, a Transpose that onnxruntime moves
past the Q behind it. Where onnxruntime stops at its basic optimizations, nothing runs on codes that is not
written so.
"""

from __future__ import annotations

from graphopt.quant.rehearsal.rehearse import Rehearsed, rehearse

__all__ = ["Rehearsed", "rehearse"]
