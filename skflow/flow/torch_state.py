"""Torch's global state, kept from what is computed here."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def usual_torch() -> Iterator[None]:
    """Record gradients, without inference mode and autocast, and make tensors on the CPU.

    That is what torch does unless it is asked for something else, as a caller may have done
    for work of its own; it is restored at the end. The default dtype is one for all threads,
    and is not touched: wherever it matters, a dtype is named.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":  # such a mode costs time at every call
            stack.enter_context(torch.device("cpu"))
        yield
