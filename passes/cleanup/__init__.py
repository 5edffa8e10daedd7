"""Passes that remove what computes nothing: dead, double and empty things."""
