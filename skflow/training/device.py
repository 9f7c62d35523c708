"""Where to compute."""

import torch

# Cells below which a CPU ends before a GPU has been set up.
CUDA_CELLS = 100_000


def resolve_device(device: str | torch.device, n_cells: int) -> torch.device:
    """Turn a ``device`` parameter into a device; "auto" means CUDA where it pays.

    Raises
    ------
    ValueError
        Where the device is unknown, absent, or lacks float64 (MPS).
    """
    if device == "auto":
        pays = torch.cuda.is_available() and n_cells >= CUDA_CELLS
        return torch.device("cuda" if pays else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'auto', 'cpu' or 'cuda[:index]', got {device!r}."
        ) from error
    if resolved.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device must be 'auto', 'cpu' or 'cuda[:index]', got {device!r}: "
            "scores are computed in float64, which other devices lack."
        )
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds no CUDA device. "
            "Use device='auto' or device='cpu'."
        )
    return resolved
