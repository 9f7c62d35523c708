"""What is fitted: the density of a table, its fit, the detector, checkpoints."""
