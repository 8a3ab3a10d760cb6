"""Whether a fit can be trusted: one file for each thing that is looked at, `catalogue` has them all."""
