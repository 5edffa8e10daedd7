"""What an optimization did, as data, tables and HTML."""

from __future__ import annotations

from graphopt.report.data import Candidate, LeftOut, Report, Summary

__all__ = ["Candidate", "LeftOut", "Report", "Summary"]
