"""What the trained coefficients say: how alike layers are, what chance is, and what belongs together."""
