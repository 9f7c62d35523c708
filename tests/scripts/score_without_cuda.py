"""Scores the rows of a pickle by the flow beside them, where there is no CUDA device.

python -m tests.scripts.score_without_cuda PICKLE SCORES
"""

import pickle
import sys
from pathlib import Path

import numpy as np
import torch

if __name__ == "__main__":
    assert not torch.cuda.is_available()
    flow, df = pickle.loads(Path(sys.argv[1]).read_bytes())
    np.save(sys.argv[2], flow.set_params(device="auto").score_samples(df))
