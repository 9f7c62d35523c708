"""Prints the rows of a table that is read batch by batch, and the peak in bytes.

python -m tests.scripts.peak_of_reading TABLE
"""

import sys

from skflow.command_line.streaming import open_table
from tests.scripts.memory import peak_memory

if __name__ == "__main__":
    with open_table(sys.argv[1]) as table:
        n_rows = sum(len(batch.frame) for batch in table.batches(10_000, table.names, {}))
    print(n_rows, peak_memory())
