"""Which layers to tie: by threshold, chance, budget, drop or the sweep's knee, never by the test set."""
