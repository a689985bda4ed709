"""A page that moves: the latent space of a model, decoded under the pointer (``vaekit explore``)."""

from vaekit.explorer.exploration import Exploration
from vaekit.explorer.serving import serve
from vaekit.explorer.single_file import ExplorationPage

__all__ = ["Exploration", "ExplorationPage", "serve"]
