"""The command line: fit, score, outliers, sample and inspect, over the same classes."""
