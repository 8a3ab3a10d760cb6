"""Fits as people read them: text, tables, prose."""
