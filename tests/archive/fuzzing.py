"""From what a fuzzer makes up to a whole model file."""

import re
from functools import cache

import numpy as np

from skflow import FlowDensity, FlowOutlierDetector
from skflow.archive.files import BEGINNING, DIGEST, LENGTH, ZEROS
from skflow.estimators.saving import pack_estimator
from tests.archive.mutations import reseal
from tests.mixed import every_kind

MOST_BYTES = 300_000
OFFSET = re.compile(rb'"data_offsets":\[\d{1,9},(\d{1,9})\]')


@cache
def array_bytes() -> bytes:
    """Return numbers of models, one array after the other, as a header will cut them."""
    numbers = np.random.default_rng(0).normal(size=(60, 2))
    detector = FlowOutlierDetector(n_layers=0, n_components=1, random_state=0).fit(numbers)
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(every_kind(60))
    arrays = [*pack_estimator(detector)[1].values(), *pack_estimator(flow)[1].values()]
    return b"".join(array.tobytes() for array in arrays)[:MOST_BYTES]


def make_file(made_up: bytes) -> bytes:
    """Return a file whose digest is right, whose header goes on as the fuzzer says."""
    header = BEGINNING + ZEROS.encode() + made_up
    header += b" " * (-len(header) % 8)
    size = min(MOST_BYTES, max(map(int, OFFSET.findall(header)), default=0))
    data = array_bytes()[:size].ljust(size, b"\0")
    return reseal(len(header).to_bytes(LENGTH, "little") + header + data)


def header_after_digest(content: bytes) -> bytes:
    """Return of a model file what a fuzzer may begin with."""
    end = LENGTH + int.from_bytes(content[:LENGTH], "little")
    return content[DIGEST.stop : end].rstrip()
