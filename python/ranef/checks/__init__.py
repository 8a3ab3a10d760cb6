"""What a fit assumes, against its data."""
