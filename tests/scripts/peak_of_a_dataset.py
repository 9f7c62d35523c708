"""Prints the rows of a dataset that a density is fitted to, and the peak in bytes.

python -m tests.scripts.peak_of_a_dataset FOLDER
"""

import sys

import pyarrow.dataset as ds

from skflow import FlowDensity
from skflow.estimators import training_rows
from tests.scripts.memory import peak_memory

if __name__ == "__main__":
    training_rows.MOST_BYTES_IN_MEMORY = 0
    dataset = ds.dataset(sys.argv[1])
    FlowDensity(n_layers=0, n_components=1, random_state=0).fit(dataset)
    print(dataset.count_rows(), peak_memory())
