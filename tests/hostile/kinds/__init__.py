"""Kinds of hostile inputs, a file for each part of ranef that they are for."""
