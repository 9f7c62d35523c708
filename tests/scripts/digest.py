"""Prints a digest of all numbers that the scores of a fit depend on.

python -m tests.scripts.digest FIT
"""

import sys

from tests.estimators.test_determinism import FITS, digest

if __name__ == "__main__":
    print(digest(FITS[sys.argv[1]]()))
