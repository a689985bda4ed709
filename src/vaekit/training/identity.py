"""What makes two runs the same, so that one may go on from the other's checkpoint."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from vaekit.errors import CheckpointError, TrainingWarning
from vaekit.language.settings import TrainingSettings
from vaekit.training.streamed import StreamedRows
from vaekit.vae import VAE

__all__ = ["describe_environment", "describe_run", "require_same_run", "warn_of_another_environment"]


def describe_run(
    model: VAE,
    settings: TrainingSettings,
    seed: int,
    data: Mapping[str, Tensor | None],
    given: Mapping[str, str],
) -> dict[str, str]:
    """Describe a run by what its results depend on, each by the name that a message gives it.

    Parameters
    ----------
    model
        Its parameters' names and shapes count.
    settings, seed
        How it is trained.
    data
        Tensors by name; their type, shape and bytes count.
    given
        What the caller knows besides.
    """
    shapes = "\n".join(f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items())
    return {
        **given,
        **{name: str(value) for name, value in asdict(settings).items()},
        "seed": str(seed),
        **{name: _describe_tensor(value) for name, value in data.items()},
        "the model's parameters": hashlib.sha256(shapes.encode()).hexdigest()[:16],
    }


def require_same_run(then: Mapping[str, str], now: Mapping[str, str], folder: object) -> None:
    """Refuse to go on from another run's checkpoint.

    Raises
    ------
    CheckpointError
        Naming every difference, what it was and what it is.
    """
    differences = [
        f"{name} was {then.get(name, 'not given')}, and is {now.get(name, 'not given')}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]
    if differences:
        raise CheckpointError(
            f"the checkpoints in {folder} are of another run: {'; '.join(differences)}; give the same data and options "
            "to go on with it, or remove the folder to begin again"
        )


def describe_environment(device: torch.device) -> dict[str, str]:
    """What the last digits of a run depend on, though it may go on without."""
    return {
        "torch": torch.__version__,
        "device": device.type,
        "threads": str(torch.get_num_threads()),
    }


def warn_of_another_environment(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Say where a run goes on elsewhere than it was: it will not end in the same bytes."""
    differences = [
        f"{name} was {then.get(name)}, and is {now[name]}" for name in now if then.get(name) != now[name]
    ]
    if differences:
        warnings.warn(
            f"going on in another environment ({', '.join(differences)}): the result may differ in its last digits "
            "from that of a run left alone",
            TrainingWarning,
            stacklevel=4,
        )


def _describe_tensor(value: Tensor | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, StreamedRows):
        return f"{' x '.join(map(str, value.shape))} numbers ({value.digest()[:16]}), in windows of {value.window}"
    content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    digest = hashlib.sha256(content.data).hexdigest()[:16]
    return f"{' x '.join(map(str, value.shape))} numbers ({digest})"
