"""What can be chosen of similarities, clusters and ties, in words. Knows neither torch nor scipy."""

METRICS = ("coefficients", "weights")
UNITS = ("layer", "block")
LINKAGES = ("complete", "average", "single")
TIES = ("gain", "signed", "mean")
