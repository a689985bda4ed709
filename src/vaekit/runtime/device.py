"""The device on which a model computes."""

import torch

from vaekit.errors import UsageError

__all__ = ["choose_device"]


def choose_device(device: str) -> torch.device:
    """Return the device of a name; ``auto`` takes an accelerator where torch sees one.

    Raises
    ------
    UsageError
        For another name, or an accelerator that is not there.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device={device!r}: there are auto, cpu and cuda")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device='cuda', but torch sees no such device here; use cpu or auto")
    return torch.device(device)
