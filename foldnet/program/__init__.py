"""The folded network as plain data: what runs when, and what of it loops. Knows no torch."""
