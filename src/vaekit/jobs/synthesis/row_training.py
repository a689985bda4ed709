"""Training of the model of rows: one optimiser, rows in the columns' own order and with some columns first."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.jobs.layers_and_optimiser import adam_on_one_cycle
from vaekit.jobs.synthesis.row_networks import RowNetworks, order_with_first
from vaekit.runtime.threads import shared_threads, work_of

__all__ = ["RowSettings", "train_rows"]

_OWN_ORDER = 0.67  # the share of the rows of a step that are in the columns' own order
_FEW_ROWS, _FEWEST_STEPS, _PASSES, _SMALLEST_BATCH = 5000, 300, 14, 32


@dataclass(frozen=True)
class RowSettings:
    """The size of the networks, and the length of their training.

    Parameters
    ----------
    hidden, latent, layers, dropout
        See :class:`RowNetworks`.
    steps
        Steps of AdamW.
    batch_size
        Rows of a step.
    learning_rate
        The highest one: it rises for a tenth of the steps, and falls along a cosine.
    weight_decay
        Of AdamW.
    warm_up
        The share of the steps in which the divergence's weight rises to 1.
    """

    hidden: int = 192
    latent: int = 12
    layers: int = 2
    dropout: float = 0.0
    steps: int = 300
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.2

    @classmethod
    def for_rows(cls, rows: int, passes: int | None = None) -> "RowSettings":
        """Return the settings for so many rows, and passes over them where their number is asked for.

        Larger networks learn a table of few rows by heart: their bound on other rows falls.

        >>> RowSettings.for_rows(51_200).steps, RowSettings.for_rows(400).steps, RowSettings.for_rows(400, 10).steps
        (1400, 300, 125)
        """
        batch = min(cls.batch_size, rows, max(_SMALLEST_BATCH, rows // 20))
        steps = (
            max(_FEWEST_STEPS, _PASSES * rows // batch) if passes is None else max(1, passes * rows // batch)
        )
        if rows < _FEW_ROWS:
            steps = _FEWEST_STEPS if passes is None else steps
            return cls(hidden=64, layers=1, dropout=0.5, steps=steps, batch_size=batch)
        return cls(steps=steps, batch_size=batch)


def train_rows(networks: RowNetworks, codes: Tensor, settings: RowSettings) -> None:
    """Train a model of rows in place, with torch's own generator.

    Two thirds of the rows of a step are in the columns' own order; of the others, a random share of the columns comes
    first, so that the decoder learns what follows from any given columns.

    Parameters
    ----------
    networks
        The model.
    codes
        ``(n, columns)``, -1 for a hole.
    settings
        For how long.
    """
    n, columns = codes.shape
    batch, steps = min(settings.batch_size, n), settings.steps
    weights = list(networks.parameters())
    optimizer, schedule = adam_on_one_cycle(
        weights, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay, steps=steps
    )
    with shared_threads(work_of(networks.layers, batch * columns)):
        for step in range(steps):
            rows = codes[torch.randint(n, (batch,))]
            noise = torch.randn(batch, networks.latent)
            share = torch.rand(batch, 2)
            given = torch.rand(batch, columns) < share[:, :1]
            given &= share[:, 1:] > _OWN_ORDER
            reconstruction, divergence = networks.bound(rows, order_with_first(given), noise)
            warmth = min(1.0, step / (settings.warm_up * steps))
            loss = (warmth * divergence - reconstruction.sum(1)).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 5.0, foreach=True)
            optimizer.step()
            schedule.step()
    networks.eval()
    for weight in weights:
        weight.requires_grad_(False)
