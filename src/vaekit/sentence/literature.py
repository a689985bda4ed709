"""The literature's models, each as a sentence of parts: one table, for ``vaekit models`` and the documentation.

A name stands for the parts that make the model what it is; all others stay at their defaults, and any of them may
be replaced: ``vaekit fit DATA --model vamp --posterior full`` is a VampPrior with a full-covariance posterior.
"""

from collections.abc import Mapping

from vaekit.errors import UsageError
from vaekit.language.grammar import did_you_mean
from vaekit.sentence.named_models import MODELS, NamedModel

__all__ = ["MODELS", "RECONSTRUCTIONS", "NamedModel", "find_model", "resolve"]

RECONSTRUCTIONS: Mapping[str, str] = {
    "mse": "gaussian:scale=fixed,value=0.7071067811865476",
    "bce": "bernoulli",
}
r"""Likelihoods by the loss that an autoencoder calls its reconstruction error, summed over the inputs of an example.

``bce``, the binary cross-entropy, is :math:`-\log p(x \mid z)` of a Bernoulli. ``mse``, the squared error, is
:math:`-\log p(x \mid z)` of a Gaussian of variance 1/2, up to a constant: of the scaled data, and with a sum where many
programs take a mean, which is a Gaussian of D times that variance (`vaekit explain-loss`). A noise that is learned,
``gaussian:scale=learned``, describes data better as a rule.
"""


def find_model(name: str) -> NamedModel:
    """Look a model up by name.

    Raises
    ------
    UsageError
        If there is none of that name (the nearest is suggested), or it is left out.

    Examples
    --------
    >>> find_model("vmap")
    Traceback (most recent call last):
    vaekit.errors.UsageError: unknown model 'vmap'; did you mean 'vamp'? `vaekit models` lists them all
    """
    by_name = {model.name: model for model in MODELS}
    if name not in by_name:
        hint = did_you_mean(name, by_name) or ";"
        raise UsageError(f"unknown model {name!r}{hint} `vaekit models` lists them all")
    model = by_name[name]
    if model.is_left_out:
        raise UsageError(f"model {name!r} ({model.title}) is left out: {model.note}")
    return model


def resolve(name: str | None, given: Mapping[str, str | None]) -> dict[str, str]:
    """Complete the parts that were given by those of a named model.

    Parameters
    ----------
    name
        Of the model, or None.
    given
        Specs by room; None where nothing was given. What is given wins.

    Returns
    -------
    dict
        Specs by room, without those that are left at their defaults.

    Raises
    ------
    UsageError
        As :func:`find_model`.

    Examples
    --------
    >>> resolve("beta-vae", {"prior": "gaussian", "objective": None})
    {'objective': 'elbo:beta=4', 'prior': 'gaussian'}
    """
    parts = {} if name is None else {"objective": "elbo", **find_model(name).parts}
    return parts | {room: spec for room, spec in given.items() if spec is not None}
