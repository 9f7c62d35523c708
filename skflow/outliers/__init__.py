"""How strange a row is: views of a table that need no labels and know no units."""
