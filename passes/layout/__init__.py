"""Passes that choose in which order of axes values are kept: transposes moved, cancelled and absorbed."""
