"""Answers of a model for batches of rows, wherever these are: what engines call on partitions."""
