"""The transformations: one file per pass, imported as `graphopt.passes`."""
