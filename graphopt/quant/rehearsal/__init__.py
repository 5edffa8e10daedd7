"""What a runtime does to a graph before it looks for nodes to run on integer codes, on a copy of it.

The steps are named in a target's rules. Each is a small rewrite that stands for one of the runtime's own; the
copy need not compute, it only has to have the Q, DQ and operators where the runtime has them.

Held against onnxruntime 1.31.1, node by node, on thousands of generated networks and what its own tools make
of eight real ones; where it moves Transposes past Q and DQ, these may differ. At its basic optimizations
nothing runs on codes that is not written so.
"""

from __future__ import annotations

from graphopt.quant.rehearsal.rehearse import Rehearsed, rehearse

__all__ = ["Rehearsed", "rehearse"]
