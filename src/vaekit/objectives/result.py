"""What an objective is, and what every one of them returns."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vaekit.vae import VAE

__all__ = ["Objective", "ObjectiveResult"]


class ObjectiveResult(NamedTuple):
    r"""Per-example results of an objective, in nats.

    Parameters
    ----------
    bound
        ``(batch,)``: a lower bound of :math:`\log p(x)` (in expectation), free of weights and annealing. Where the
        posterior has no density there is none: then the objective without its schedules, to select on.
    surrogate
        ``(batch,)``: what training maximises; its gradient is the objective's, its value need not be a bound.
    reconstruction
        ``(batch,)``: :math:`\mathbb E_q \log p(x \mid z)`.
    kl
        ``(batch,)``: :math:`\mathrm{KL}(q(z \mid x) \,\|\, p(z))`, or its one-sample estimate.
    kl_per_dimension
        ``(batch, latent)`` where both distributions factorise, else None.
    """

    bound: Tensor
    surrogate: Tensor
    reconstruction: Tensor
    kl: Tensor
    kl_per_dimension: Tensor | None

    @classmethod
    def without_density(
        cls, objective: Tensor, surrogate: Tensor, reconstruction: Tensor
    ) -> "ObjectiveResult":
        """The result for a posterior without a density, whose KL is infinite.

        Parameters
        ----------
        objective
            ``(batch,)``: what training maximises, with every scheduled weight at its end, to select on.
        surrogate, reconstruction
            As above.
        """
        return cls(
            objective, surrogate, reconstruction, torch.full_like(reconstruction.detach(), torch.inf), None
        )


class Objective(Protocol):
    """A callable from a model and data ``(batch, *event)`` to results per example.

    An objective that draws several latents an example says how many in an attribute ``draws``, so that an
    evaluation takes fewer examples at a time. A method ``check(model)`` refuses a model that lacks what the
    objective needs, when a sentence is built; a posterior without a density is refused unless ``needs_density`` is
    False, and one whose surrogate is to see a relaxation of discrete draws unless ``takes_relaxation`` is True. A
    method ``equip(model)`` changes the model where the objective asks for it, once, when it is built (a
    normalisation of weights, say). One that learns labels has ``needs_classifier`` True: its model is built with a
    classifier beside the five parts. One that reads the networks' weights itself, or differentiates a network within
    itself, says so in ``reaches_into_networks``: those cannot be sharded; one whose result for an example depends on
    the others of its batch, in ``looks_over_batch``: several processes each show it a slice. Three more methods are
    optional, and called by the training loop where an objective has them: ``begin(rows=n)`` once, with the number of
    training rows; ``count_labels(c)`` once, with the conditions of a conditional model's; and ``at(epochs_done)``
    before every step, with the epochs done so far as a fraction, to move what follows a schedule (see
    :class:`vaekit.objectives.Annealed`; an objective whose ``schedules`` is empty is not called).

    **A second player.** An objective may own an opponent, a network that learns against the model (see
    :class:`vaekit.objectives.Opposed`). It has three more names:

    * ``build_opponent(model)`` makes a fresh opponent from torch's global generator, on the model's device and of
      its type; the training loop calls it once, with randomness from the run's seed;
    * ``opponent`` is that ``nn.Module``, None before: its ``state_dict`` belongs in a checkpoint;
    * ``opponent_loss(model, x, c=None)`` is what the opponent minimises, ``(batch,)``, on what the model gives
      without gradient. The loop takes one step of it a batch, *after* the model's step and on the same batch,
      with an optimiser of its own.

    The model never learns from the opponent's loss, nor the opponent from the surrogate: the objective cuts the
    gradients (``Opposed.judge``), and the loop asks for those of the player whose turn it is alone.
    """

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective."""
        ...
