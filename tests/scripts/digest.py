"""Prints a digest of all numbers that the scores of a fit depend on.

python -m tests.scripts.digest FIT
"""

import hashlib
import sys

from tests.estimators.test_determinism import FITS, state_of

if __name__ == "__main__":
    state = state_of(FITS[sys.argv[1]]())
    print(hashlib.sha256(b"".join(state[key].tobytes() for key in sorted(state))).hexdigest())
