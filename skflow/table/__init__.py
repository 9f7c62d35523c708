"""Tables to float64 matrices and back, exactly. No torch here."""
