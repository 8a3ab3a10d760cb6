"""Figures, one per file, each drawn from a tidy frame; matplotlib is loaded by the first one drawn."""
