"""Passes that fuse neighbouring nodes into one: linear arithmetic, pads, biases, normalizations."""
