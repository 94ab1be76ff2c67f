"""The gate: whether a checkpoint is worse than another on the same samples, and whether that is more than noise."""
