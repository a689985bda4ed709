"""How much a step multiplies."""

from vaekit.objectives import Objective
from vaekit.vae import VAE

__all__ = ["multiplications"]


def multiplications(model: VAE, objective: Objective, batch_size: int) -> int:
    """Multiply-adds of a step's pass forward, by the number of parameters: the decoder sees every draw of an example.

    Examples
    --------
    >>> from vaekit.objectives import Elbo, ImportanceWeighted
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)  # 3 x 4 and 2 x 4
    >>> multiplications(model, Elbo(), 10), multiplications(model, ImportanceWeighted(samples=50), 10)
    (250, 4660)
    """
    decoder = sum(parameter.numel() for parameter in model.decoder.parameters())
    others = sum(parameter.numel() for parameter in model.parameters()) - decoder
    return batch_size * (others + decoder * objective.draws)
