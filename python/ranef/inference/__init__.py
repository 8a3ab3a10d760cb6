"""What a fit says about its parameters: coefficients, variance components, random effects, fit statistics."""
