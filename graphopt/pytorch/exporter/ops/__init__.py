"""The translators, a file for each family of operators; each file is found and read by the registry."""
