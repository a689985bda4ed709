"""Network and objective, where none is asked for: what follows from the form of the data and the length of the training.

``benchmarks/defaults`` holds the measurements behind both choices.
"""

from vaekit.contracts import PosteriorTraits
from vaekit.data import Dataset

__all__ = ["choose_network", "choose_objective"]

_SMALLEST_IMAGE = 8  # pixels on the shorter side that are worth convolutions
_FREE_BITS, _SHARE_OF_EPOCHS, _MOST_EPOCHS = 0.5, 1 / 3, 50


def choose_network(rows: Dataset) -> str:
    """Return the network for data: convolutions for images from 8 x 8 pixels, otherwise fully connected layers.

    Examples
    --------
    >>> from vaekit.data import read
    >>> choose_network(read("digits"))
    'convolutional'
    """
    is_image = rows.kind == "images" and min(rows.event_shape[1:]) >= _SMALLEST_IMAGE
    return "convolutional" if is_image else "mlp"


def choose_objective(posterior: PosteriorTraits, epochs: int) -> str:
    """Return the ELBO, with free bits that fall to zero over the first third of the epochs, at most 50.

    While a latent dimension carries less than the free bits, its KL costs nothing, so that decoder and encoder learn to
    use it before it can be given up; afterwards the ELBO alone is maximised. Latents that are no points of
    :math:`\\mathbb R^k` get the plain ELBO.

    Examples
    --------
    >>> choose_objective(PosteriorTraits(), 152), choose_objective(PosteriorTraits(space="codes"), 152)
    ('elbo:free_bits=linear:0.5..0/50', 'elbo')
    """
    falling = min(round(epochs * _SHARE_OF_EPOCHS), _MOST_EPOCHS)
    if posterior.space != "euclidean" or not posterior.has_density or falling < 1:
        return "elbo"
    return f"elbo:free_bits=linear:{_FREE_BITS}..0/{falling}"
