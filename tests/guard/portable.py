"""A process whose arithmetic is the same on most processors: one thread, common instructions.

    python -m tests.guard.portable > tests/guard/pinned.json

writes what :mod:`tests.guard.test_guard` compares with. Run it only where a change is meant to
move densities, and say in the commit by how much.
"""

import os
import subprocess
import sys

# Read by OpenMP, torch, MKL, OpenBLAS and NumPy when they are imported.
PORTABLE = {
    "OMP_NUM_THREADS": "1",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "PYTHONHASHSEED": "0",
}


def computed(*names: str) -> str:
    """Return all numbers of the fits of these names, or of all, as JSON."""
    command = [sys.executable, "-m", "tests.guard.fits", *names]
    environment = os.environ | PORTABLE
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


if __name__ == "__main__":
    sys.stdout.write(computed())
