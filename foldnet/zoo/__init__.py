"""Networks that foldnet knows by name."""
