"""Passes that compute now what every run would compute again."""
