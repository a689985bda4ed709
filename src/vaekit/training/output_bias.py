r"""A decoder that begins at the data's marginals: its output bias is set so that :math:`p(x \mid z)`, whatever
:math:`z`, has each dimension's mean.

For a Bernoulli likelihood that is the logit of the training mean (Burda, Grosse and Salakhutdinov, 2015,
"Importance Weighted Autoencoders", section 5), for counts its logarithm: without it, every count starts at
mean 1 and has to grow by gradient steps. A likelihood returns the features that stand for given data ``(n,
*event)`` from its method ``marginal_features``; means and frequencies are smoothed by half an example, so
that no dimension starts at infinity.
"""

from math import prod

import torch
from torch import Tensor, nn

from vaekit.errors import UsageError
from vaekit.language.settings import OutputBias
from vaekit.vae import VAE

__all__ = ["begin_at_marginals", "begins_at_marginals"]


def begins_at_marginals(model: VAE, choice: OutputBias) -> bool:
    """Return whether a model begins at the marginals: ``auto`` is for counts and mixed columns, which are not rescaled.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> models = [build_vae(Sentence.parse(likelihood=kind), (3,), 2) for kind in ("bernoulli", "poisson")]
    >>> [begins_at_marginals(model, "auto") for model in models]
    [False, True]
    """
    if choice == "auto":
        return model.likelihood_part.traits.measure in ("counts", "mixed") and _last_layer(model) is not None
    return choice == "marginal"


@torch.no_grad()
def begin_at_marginals(model: VAE, x: Tensor) -> None:
    """Set the output bias of a model's decoder.

    Parameters
    ----------
    model
        A model whose decoder ends in a layer with a bias, fully connected or convolutional; all pixels of a
        channel share the bias of a convolution.
    x
        ``(n, *event)``, the training data in the coordinates of the model.

    Raises
    ------
    UsageError
        If the likelihood does not say what features stand for given data, or the decoder has no such layer.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none", likelihood="poisson"), (2,), latent=1)
    >>> begin_at_marginals(model, torch.tensor([[900.0, 1.0], [1100.0, 3.0]]))
    >>> model.decode(torch.zeros(1, 1)).mean.detach().round()
    tensor([[1000.,    2.]])
    """
    layer = _last_layer(model)
    if layer is not None and not isinstance(layer, nn.Linear):  # every pixel is an example of its channels
        x = x.movedim(1, -1).flatten(0, -2)
    features = model.likelihood_part.marginal_features(x)
    if features is None:
        raise UsageError(
            f"output_bias=marginal: {type(model.likelihood_part).__name__} does not say which features reproduce the "
            "data's marginals (no method marginal_features); use output_bias=none"
        )
    if layer is None or layer.bias is None:
        raise UsageError(
            "output_bias=marginal: the decoder does not end in a layer with a bias for each feature of the "
            "likelihood; use output_bias=none"
        )
    layer.bias.copy_(features.flatten())


def _last_layer(model: VAE) -> nn.Linear | nn.Conv2d | nn.ConvTranspose2d | None:
    """Return the decoder's last layer, if it gives the likelihood's features and has a bias."""
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    layers = [layer for layer in model.decoder.modules() if isinstance(layer, kinds)]
    if not layers or layers[-1].bias is None:
        return None
    shape = model.likelihood_part.feature_shape
    expected = prod(shape) if isinstance(layers[-1], nn.Linear) else shape[0]
    return layers[-1] if len(layers[-1].bias) == expected else None
