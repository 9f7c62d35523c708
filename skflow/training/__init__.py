"""Training: gradient steps on what the initialization left, on rows that stay on the device."""
