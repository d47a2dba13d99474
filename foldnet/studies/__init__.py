"""Many trainings that belong together: which there are, running them, and what they say together."""
