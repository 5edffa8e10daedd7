"""Passes that merge chains of one kind: casts, transposes, reshapes, slices, concats, pads and the like."""
