"""Prints by how many bytes loading a file raises the peak over that of a small one, and the error.

python -m tests.scripts.peak_of_loading SMALL FILE
"""

import json
import sys

import skflow
from skflow.exceptions import ModelFileError
from tests.scripts.memory import peak_memory

if __name__ == "__main__":
    skflow.load(sys.argv[1])
    before, error = peak_memory(), ""
    try:
        skflow.load(sys.argv[2])
    except ModelFileError as refused:
        error = str(refused)
    print(json.dumps([peak_memory() - before, error]))
