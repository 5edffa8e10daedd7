"""How a graph runs in the least memory: live ranges, sharing, order, placement, each with its proof.

Pure analysis and search: nothing here changes a graph or runs one.
"""
