"""Small quantized networks: real layers, with Q and DQ placed well, badly or not at all.

Made to see which nodes a runtime runs on integer codes; what they compute is of no interest.
"""

from __future__ import annotations

from graphopt.testing.generate.quantized.model import quantized_model

__all__ = ["quantized_model"]
