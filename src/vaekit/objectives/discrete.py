r"""What objectives do about discrete latents.

A draw of codes has no derivative; a posterior over them (:class:`vaekit.distributions.CategoricalCodes`,
:class:`vaekit.distributions.PointCodes`) gives its draws the gradient of something near by. That
is a surrogate. The bound is evaluated at the discrete draw in every case.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.contracts import traits_of
from vaekit.distributions import CategoricalCodes
from vaekit.errors import UsageError
from vaekit.vae import VAE

__all__ = ["reconstruct", "refuse_discrete"]


def reconstruct(model: VAE, q: Distribution, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    r"""Draw a latent an example, and evaluate :math:`\log p(x \mid z)`.

    Parameters
    ----------
    model, x, c
        As for an objective.
    q
        The posterior.

    Returns
    -------
    tuple of Tensor
        :math:`z`, ``(batch, *latent)``; the reconstruction ``(batch,)`` for the bound; and that for the surrogate.
        The last two are one object, unless the posterior is ``relaxed``: then the bound's is at the discrete draw,
        and the surrogate's at its relaxation.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> sentence = Sentence.parse(network="mlp:hidden=none", posterior="categorical:straight_through=false")
    >>> model, x = build_vae(sentence, (3,), latent=2), torch.ones(4, 3)
    >>> z, for_bound, for_surrogate = reconstruct(model, model.encode(x), x, None)
    >>> z.unique(), bool((for_bound != for_surrogate).all())
    (tensor([0., 1.], grad_fn=...), True)
    """
    if not (isinstance(q, CategoricalCodes) and q.traits.relaxed):
        z = q.rsample()
        value = model.decode(z, c).log_prob(x)
        return z, value, value
    z, relaxation = q.draw_pair()
    with torch.no_grad():
        value = model.decode(z, c).log_prob(x)
    return z, value, model.decode(relaxation, c).log_prob(x)


def refuse_discrete(kind: str, q: Distribution | None, *, reason: str, instead: str) -> None:
    """Refuse a posterior over codes where a density that is differentiated along its draws is needed.

    Raises
    ------
    UsageError
        If ``q`` is discrete.
    """
    if q is not None and traits_of(q).discrete:
        raise UsageError(
            f"{kind}: {reason}, and the posterior's latents are codes, with probability masses and draws that have no "
            f"derivative; use {instead}"
        )
