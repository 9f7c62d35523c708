"""Tables to labels and float64 values, and back, exactly. No torch here."""
