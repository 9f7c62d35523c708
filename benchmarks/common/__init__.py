"""Tables, kept results, pages and processes, which all benchmarks share."""
