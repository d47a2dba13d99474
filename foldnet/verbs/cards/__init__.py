"""What cards of folds say, and the folders that hold them."""
