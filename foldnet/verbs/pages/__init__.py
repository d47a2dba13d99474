"""What pages say of runs, folds and studies, and how they are written."""
