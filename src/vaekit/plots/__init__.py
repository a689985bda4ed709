"""Matplotlib pictures of a model and its data.

Every function takes data (arrays, or a :class:`vaekit.training.History`) and optionally the Axes to draw on, and
returns the Axes. Without ``ax`` it makes a new ``matplotlib.figure.Figure``, which is ``ax.figure``. No function uses
``matplotlib.pyplot``: no backend is chosen, no window opens, and no figure has to be closed.
"""

from vaekit.plots.calibration_bars import calibration_histogram
from vaekit.plots.category_bars import category_accuracy, category_scores, category_shares
from vaekit.plots.fit_quality import ACTIVE_KL, kl_per_dimension, learning_curve, log_likelihood_comparison
from vaekit.plots.image_grids import image_grid, montage, reconstruction_pairs, shrink
from vaekit.plots.scatter import latent_scatter, principal_components
from vaekit.plots.table_columns import distance, marginal_histogram, r_squared, reconstruction_scatter
from vaekit.plots.traversals import latent_manifold, latent_traversals, traversal_effects

__all__ = [
    "ACTIVE_KL",
    "calibration_histogram",
    "category_accuracy",
    "category_scores",
    "category_shares",
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
