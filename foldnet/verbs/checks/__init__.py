"""The parts of `foldnet doctor --check`."""
