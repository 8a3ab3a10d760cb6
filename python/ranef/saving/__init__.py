"""Saved fits: the file that `Fit.save` writes and `ranef.load` reads (docs/reference/saved-files.md)."""
