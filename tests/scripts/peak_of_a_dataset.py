"""Prints the rows of a dataset that an estimator is fitted to, and the peak in bytes.

python -m tests.scripts.peak_of_a_dataset FOLDER density|detector
"""

import sys

import pyarrow.dataset as ds
import torch

from skflow import FlowDensity, FlowOutlierDetector
from skflow.estimators import training_rows
from tests.scripts.memory import peak_memory

if __name__ == "__main__":
    folder, kind = sys.argv[1:]
    training_rows.MOST_BYTES_IN_MEMORY = 0
    torch.set_num_threads(1)
    dataset = ds.dataset(folder)
    density = FlowDensity(n_layers=0, n_components=1, random_state=0)
    detector = FlowOutlierDetector(density, contamination=0.02, random_state=0)
    {"density": density, "detector": detector}[kind].fit(dataset)
    print(dataset.count_rows(), peak_memory())
