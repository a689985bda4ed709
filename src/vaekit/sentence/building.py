"""Building the model that a sentence describes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from vaekit.likelihoods import ObservedCells
from vaekit.networks import NetworkRecipe, TransformedInput, conditioned_decoder, conditioned_encoder
from vaekit.sentence.compatibility import check_compatible, check_missing, check_relaxation, needs_classifier
from vaekit.sentence.specs import Sentence
from vaekit.vae import VAE

__all__ = ["MissingCells", "build_vae"]


class MissingCells(NamedTuple):
    """The columns of a table where cells may be missing.

    Parameters
    ----------
    masked
        For each column, whether cells were missing in training: the encoder is then told where they are.
    log_jacobian
        The logarithm of the Jacobian of each column's scaling, in nats.
    """

    masked: Sequence[bool]
    log_jacobian: Sequence[float]


def build_vae(
    sentence: Sentence,
    event_shape: tuple[int, ...],
    latent: int,
    *,
    log_jacobian: float = 0.0,
    condition: int = 0,
    network: NetworkRecipe | None = None,
    missing: MissingCells | None = None,
) -> VAE:
    """Build the model a sentence describes, with fresh parameters from torch's global generator.

    Parameters
    ----------
    sentence
        The five parts.
    event_shape
        The shape of one example, in the coordinates of the model.
    latent
        Number of latent dimensions.
    log_jacobian
        Logarithm of the Jacobian of the data's scaling, in nats. Only densities are told: a probability is
        the same in all units.
    condition
        How many numbers the condition of an example has; 0: the model is not conditional. It is put beside the
        data in front of the encoder, beside the latents in front of the decoder, and given to priors that ask.
    network
        What makes the encoder and the decoder, instead of the sentence's.
    missing
        What is to be known of the columns where cells may be missing (NaN); None: none may be.

    Returns
    -------
    VAE

    Raises
    ------
    UsageError
        For a value out of range, a posterior and a prior of different spaces, and an objective that needs what
        the posterior lacks; where cells may be missing, for a likelihood or an objective of whole rows.

    Examples
    --------
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (1, 4, 4), latent=2)
    >>> model.latent_shape, model.event_shape
    ((2,), (1, 4, 4))
    """
    check_compatible(sentence, condition)
    network = sentence.network.build() if network is None else network
    posterior = sentence.posterior.build(latent=latent)
    is_density = sentence.likelihood.part.traits.measure in ("density", "mixed")
    likelihood = sentence.likelihood.build(
        event_shape=event_shape, log_jacobian=log_jacobian if is_density and missing is None else 0.0
    )
    if missing is not None:
        check_missing(sentence, likelihood)
        # Networks of the user's own have the shape of the data: they see 0 for a missing value, and no mask.
        masked = () if sentence.network.kind == "own" else missing.masked
        likelihood = ObservedCells(likelihood, missing.log_jacobian if is_density else 0.0, masked=masked)
    prior = sentence.prior.build(
        latent_shape=posterior.latent_shape,
        event_shape=event_shape,
        lower=likelihood.support.lower,
        upper=likelihood.support.upper,
        condition=condition,
        **posterior.shared,
    )
    encoder = _encoder(network, likelihood, event_shape, posterior.feature_shape, condition)
    decoder = _decoder(network, posterior, likelihood.feature_shape, condition)
    classifier = None
    if needs_classifier(sentence):
        classifier = _encoder(network, likelihood, event_shape, (condition,), 0)
    model = VAE(encoder, posterior, prior, decoder, likelihood, classifier)
    objective = sentence.objective.build()
    check_relaxation(sentence, posterior)
    objective.check(model)
    objective.equip(model)
    return model


def _encoder(
    network: Any,
    likelihood: Any,
    event_shape: tuple[int, ...],
    feature_shape: tuple[int, ...],
    condition: int,
) -> Any:
    """The network's encoder, behind what the likelihood makes of the data for it."""
    shape = likelihood.encoder_shape
    encoder = conditioned_encoder(network, shape, feature_shape, condition)
    return (
        encoder if likelihood.encoder_input is None else TransformedInput(likelihood.encoder_input, encoder)
    )


def _decoder(network: Any, posterior: Any, feature_shape: tuple[int, ...], condition: int) -> Any:
    """The network's decoder, behind what the posterior says a decoder is to begin with."""
    first = posterior.decoder_input
    if first is None:
        return conditioned_decoder(network, posterior.latent_shape, feature_shape, condition)
    return TransformedInput(
        first, conditioned_decoder(network, posterior.decoder_shape, feature_shape, condition)
    )
