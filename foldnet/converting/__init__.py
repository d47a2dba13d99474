"""Trained networks to ones that share: templates in the place of weights, or loops in the place of blocks."""
