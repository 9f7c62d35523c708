"""The fit before gradients: marginals, Gaussian mixture, label tables, chosen on held-out rows."""
