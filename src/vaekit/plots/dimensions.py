"""How much each latent dimension carries."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vaekit.plots.canvas import MODEL, MUTED, latent_name, new_axes, tidy
from vaekit.training import history

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ACTIVE_KL", "kl_per_dimension"]

ACTIVE_KL: float = history.ACTIVE_KL
"""A latent dimension whose mean KL exceeds this many nats counts as active."""

_NAMED = 24  # more names than these would run into each other


def kl_per_dimension(kl: npt.ArrayLike, *, ax: "Axes | None" = None) -> "Axes":
    r"""Draw the mean :math:`\mathrm{KL}(q(z_j \mid x) \,\|\, p(z_j))` of each latent dimension, largest first.

    The title counts the active dimensions, those above :data:`ACTIVE_KL`.

    Parameters
    ----------
    kl
        ``(latent,)``, in nats.
    ax
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = kl_per_dimension([0.001, 2.0, 1.5])
    >>> ax.get_title(loc="left")
    '2 of 3 dimensions active (KL > 0.01 nat)'
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['z₂', 'z₃', 'z₁']
    """
    values = np.asarray(kl, dtype=float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"KL of shape {values.shape}; expected (latent,), one number per latent dimension")
    order = np.argsort(-values, kind="stable")
    active = values[order] > ACTIVE_KL
    ax = tidy(new_axes(ax, 4.6, 3.2))
    places = np.arange(len(values))
    if len(values) <= 4 * _NAMED:
        ax.bar(places, values[order], color=np.where(active, MODEL, MUTED).tolist(), width=0.72)
    else:
        ax.fill_between(places, values[order], step="mid", color=MODEL, linewidth=0)
    if len(values) <= _NAMED:
        ax.set_xticks(places, [latent_name(int(j)) for j in order])
    ax.axhline(ACTIVE_KL, color=MUTED, linewidth=0.8, linestyle=":")
    ax.set_xlim(-0.7, max(len(values), 4) - 0.3)
    ax.set_xlabel("latent dimension, by KL")
    ax.set_ylabel("KL (nats)")
    dimensions = "dimension" if len(values) == 1 else "dimensions"
    ax.set_title(
        f"{int(active.sum())} of {len(values)} {dimensions} active (KL > {ACTIVE_KL:g} nat)", loc="left"
    )
    return ax
