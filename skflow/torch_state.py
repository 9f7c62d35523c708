"""Isolation from torch's global state."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def usual_torch() -> Iterator[None]:
    """Record gradients, without inference mode and autocast, and make tensors on the CPU.

    These are torch's defaults; a caller may have set others, which are restored at the end.
    The default dtype is shared by all threads and is not touched: wherever it matters, a
    dtype is named.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        # Not get_default_device, which torch 2.6 lacks after set_default_device(None). A mode costs
        # time at every call.
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
