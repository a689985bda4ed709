"""Network and objective, where none is asked for: they follow from the form of the data and the length of training.

``benchmarks/defaults`` holds the measurements behind both choices.
"""

from math import log2

from vaekit.contracts import PosteriorTraits
from vaekit.data import Dataset

__all__ = ["choose_network", "choose_objective"]

_SMALLEST_IMAGE = 8  # pixels on the shorter side that are worth convolutions
_LARGE_IMAGE = 16
_COARSEST = 4  # pixels on the shorter side after the last halving of a large image, at least
_MOST_CHANNELS = 128
_FREE_BITS, _SHARE_OF_EPOCHS, _MOST_EPOCHS = 0.5, 1 / 3, 50


def choose_network(rows: Dataset) -> str:
    """Return the network for data: convolutions for images from 8 x 8 pixels, otherwise fully connected layers.

    Convolutions halve large images until they are 4 to 7 pixels wide, with few channels at first, where most of the
    work is. Beside fully connected layers there is a linear map from the input to the output, which uses all latents
    from the beginning.

    Examples
    --------
    >>> from vaekit.data import from_object, read
    >>> choose_network(from_object([[0.5, 1.5], [2.5, 1.0]]))
    'mlp:shortcut=true'
    >>> choose_network(read("digits"))
    'convolutional:channels=32x64,hidden=128'
    """
    side = min(rows.event_shape[1:]) if rows.kind == "images" else 0
    if side < _SMALLEST_IMAGE:
        return "mlp:shortcut=true"
    if side < _LARGE_IMAGE:
        return "convolutional:channels=32x64,hidden=128"
    channels = [min(16 * 2**i, _MOST_CHANNELS) for i in range(int(log2(side / _COARSEST)))]
    return f"convolutional:channels={'x'.join(map(str, channels))},hidden=128"


def choose_objective(rows: Dataset, posterior: PosteriorTraits, epochs: int) -> str:
    """Return the ELBO; of images, with free bits that fall to zero over the first third of the epochs, at most 50.

    While a latent dimension carries less than the free bits, its KL costs nothing, so that decoder and encoder learn to
    use it before it can be given up; afterwards the ELBO alone is maximised. Latents that are no points of
    :math:`\\mathbb R^k` get the plain ELBO.

    Examples
    --------
    >>> from vaekit.data import read
    >>> choose_objective(read("digits"), PosteriorTraits(), 152)
    'elbo:free_bits=linear:0.5..0/50'
    >>> choose_objective(read("digits"), PosteriorTraits(space="codes"), 152)
    'elbo'
    """
    falling = min(round(epochs * _SHARE_OF_EPOCHS), _MOST_EPOCHS)
    fitting = rows.kind == "images" and posterior.space == "euclidean" and posterior.has_density
    return f"elbo:free_bits=linear:{_FREE_BITS}..0/{falling}" if fitting and falling else "elbo"
