"""Smooth functions of columns: bases with a penalty, and their form as fixed and random effects."""
