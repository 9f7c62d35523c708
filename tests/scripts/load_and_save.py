"""Loads a model, saves it again, and scores the mixed table of the tests of files.

python -m tests.scripts.load_and_save MODEL AGAIN SCORES
"""

import sys

import numpy as np

import skflow
from tests.archive.bases import MIXED

if __name__ == "__main__":
    flow = skflow.load(sys.argv[1])
    flow.save(sys.argv[2])
    np.save(sys.argv[3], flow.score_samples(MIXED))
