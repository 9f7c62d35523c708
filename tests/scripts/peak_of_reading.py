"""Prints the rows of each table, which is read batch by batch, and the peak in bytes so far.

python -m tests.scripts.peak_of_reading TABLE ...
"""

import sys

from skflow.command_line.streaming import open_table
from tests.scripts.memory import peak_memory

if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open_table(path) as table:
            n_rows = sum(len(batch.frame) for batch in table.batches(10_000, table.names, {}))
        print(n_rows, peak_memory())
