"""Residuals by simulation: their places among simulated responses, and a file for each test of them."""
