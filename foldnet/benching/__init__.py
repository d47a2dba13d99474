"""What every benchmark does: measure side by side, in one run."""
