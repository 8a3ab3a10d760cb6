"""What a fit says about rows: predictions with their uncertainty, fitted values, residuals."""
