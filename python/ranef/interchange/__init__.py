"""Fits in the form of other packages, which are imported when they are asked for: none of them is needed otherwise."""
