"""Training all members in one program: one optimiser, one product for all, and every member drops its oddest rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.jobs.detection.complementary_halves import Halves
from vaekit.jobs.detection.member_networks import MemberNetworks
from vaekit.jobs.detection.one_cycle import minimise
from vaekit.jobs.table_coding import CodedRows

__all__ = ["MemberSettings", "train_members"]

_PASSES, _MOST_STEPS = 150, 600


@dataclass(frozen=True)
class MemberSettings:
    """The size of members, and the length of their training.

    Parameters
    ----------
    hidden, latent
        Units of each hidden layer, and latent dimensions.
    steps
        Steps of Adam; None for as many as pass 150 times over a member's rows, and 600 at most: members that see few
        rows for longer learn them by heart, and more steps than that change little in a large table.
    batch_size
        Rows of each member in a step.
    learning_rate
        The highest one: it rises for a tenth of the steps, and falls along a cosine.
    trim
        The share of its rows that a member drops, those it thinks least of, after 1/3, 1/2 and 2/3 of the steps; each
        time it chooses anew among all its rows.
    most_rows
        Rows that a member is trained on at most.
    """

    hidden: int = 32
    latent: int = 3
    steps: int | None = None
    batch_size: int = 128
    learning_rate: float = 5e-3
    trim: float = 0.2
    most_rows: int = 4096

    def steps_for(self, rows: int) -> int:
        """Return the number of steps where every member has so many rows.

        >>> MemberSettings().steps_for(64), MemberSettings().steps_for(4000), MemberSettings(steps=20).steps_for(64)
        (150, 600, 20)
        """
        if self.steps is not None:
            return self.steps
        return min(_MOST_STEPS, _PASSES * rows // min(self.batch_size, rows))


def train_members(
    networks: MemberNetworks,
    rows: CodedRows,
    halves: Halves,
    settings: MemberSettings,
    generator: torch.Generator,
) -> Tensor:
    """Train all members, and return the rows that each kept, ``(members, k)``.

    The sum of the members' bounds is maximised: no weight is shared, so that each member ends where it would alone.
    """
    own = _own_rows(halves, settings.most_rows, generator)
    kept = own
    steps = settings.steps_for(own.shape[1])
    batch = min(settings.batch_size, own.shape[1])
    cuts = {steps // 3, steps // 2, 2 * steps // 3}

    def loss(step: int) -> Tensor:
        nonlocal kept
        if step in cuts:
            kept = _without_the_oddest(networks, rows, own, settings.trim, generator)
        drawn = kept.gather(1, torch.randint(kept.shape[1], (networks.members, batch), generator=generator))
        return -networks.bound(rows.take(drawn), _noise(networks, batch, generator)).mean(1).sum()

    minimise(networks.parameters(), loss, steps=steps, learning_rate=settings.learning_rate)
    return kept


@torch.no_grad()
def _without_the_oddest(
    networks: MemberNetworks, rows: CodedRows, own: Tensor, trim: float, generator: torch.Generator
) -> Tensor:
    """Return each member's rows without the share whose bound is lowest; a bound is the mean of three draws."""
    k = own.shape[1]
    inside = rows.take(own)
    bound = sum((networks.bound(inside, _noise(networks, k, generator)) for _ in range(3)), torch.zeros(()))
    order = bound.argsort(dim=1, descending=True, stable=True)
    return own.gather(1, order[:, : max(1, k - int(trim * k))])


def _own_rows(halves: Halves, most: int, generator: torch.Generator) -> Tensor:
    """Return as many rows for every member, ``(members, k)``, in random order."""
    each = [torch.from_numpy(halves.rows_of(m)) for m in range(len(halves.trained))]
    k = min(most, *(len(rows) for rows in each))
    return torch.stack([rows[torch.randperm(len(rows), generator=generator)[:k]] for rows in each])


def _noise(networks: MemberNetworks, n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(networks.members, n, networks.latent, generator=generator)
