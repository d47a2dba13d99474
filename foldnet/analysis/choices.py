"""What can be chosen of similarities, clusters and ties, in words. Knows neither torch nor scipy."""

METRICS = ("coefficients", "weights")
UNITS = ("layer", "block")
LINKAGES = ("complete", "average", "single")
TIES = ("gain", "signed", "mean")
CLOSENESS = ("weights", "outputs")  # what templates that take the place of trained weights come closest to
STARTS = ("average", "stepwise")  # of a body that takes the place of several blocks
