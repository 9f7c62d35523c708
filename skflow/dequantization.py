"""Dequantization: values on a grid, moved uniformly within their bins.

A density fitted to bare grid points could be raised without limit (Theis, van den Oord and
Bethge, "A note on the evaluation of generative models", 2016, arXiv:1511.01844, section 3.1).
"""

from dataclasses import replace

import torch

from skflow.rows import EncodedRows


def dequantize(rows: EncodedRows, columns: list[int], generator: torch.Generator) -> EncodedRows:
    """Return the rows with values of some columns drawn uniformly within their bins."""
    noise = torch.rand((len(rows), len(columns)), generator=generator, dtype=torch.float64)
    values = rows.values.copy()
    values[:, columns] += (noise.numpy() - 0.5) * rows.bin_widths[:, columns]
    return replace(rows, values=values)


def fork(generator: torch.Generator) -> torch.Generator:
    """Return a new generator, seeded by one draw of ``generator``.

    What ``generator`` draws next then does not depend on the number of quantized columns.
    """
    device = generator.device
    seed = torch.randint(2**31, (1,), generator=generator, device=device)
    return torch.Generator(device).manual_seed(int(seed))
