"""Passes that change in how much memory a graph can run."""
