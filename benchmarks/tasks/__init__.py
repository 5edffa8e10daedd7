"""Small evaluation sets with labels by construction, one file a model of the zoo."""
