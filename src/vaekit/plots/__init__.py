"""Matplotlib pictures of a model and its data.

Every function takes data (arrays, or a :class:`vaekit.training.History`) and, if you like, the Axes to draw on,
and returns the Axes. None of them touches ``matplotlib.pyplot``: without ``ax`` a free-standing
``matplotlib.figure.Figure`` is made, found at ``ax.figure``, so no backend is chosen, no window opens, and there
is nothing to close.
"""

from vaekit.plots.comparison import log_likelihood_comparison
from vaekit.plots.dimensions import ACTIVE_KL, kl_per_dimension
from vaekit.plots.images import image_grid, montage, reconstruction_pairs, shrink
from vaekit.plots.scatter import latent_scatter, principal_components
from vaekit.plots.tables import distance, marginal_histogram, r_squared, reconstruction_scatter
from vaekit.plots.training import learning_curve
from vaekit.plots.traversals import latent_manifold, latent_traversals, traversal_effects

__all__ = [
    "ACTIVE_KL",
    "distance",
    "image_grid",
    "kl_per_dimension",
    "latent_manifold",
    "latent_scatter",
    "latent_traversals",
    "learning_curve",
    "log_likelihood_comparison",
    "marginal_histogram",
    "montage",
    "principal_components",
    "r_squared",
    "reconstruction_pairs",
    "reconstruction_scatter",
    "shrink",
    "traversal_effects",
]
