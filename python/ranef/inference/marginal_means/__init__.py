"""Means, contrasts and slopes of a fitted model on a grid of its variables, with tests adjusted to each other."""
