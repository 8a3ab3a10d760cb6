"""Several fits side by side in a table, and its writers."""
