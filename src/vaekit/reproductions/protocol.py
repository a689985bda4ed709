"""A published experiment on MNIST: what was done, and the published numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vaekit.errors import UsageError
from vaekit.reproductions.figures import Figure
from vaekit.training import TrainingSettings

__all__ = ["Images", "Protocol"]

Images = Literal["grey", "static", "dynamic", "once"]

_BINARISATION: dict[Images, str] = {
    "grey": "grey levels in [0, 1] as they are",
    "static": "Larochelle's static binarisation",
    "dynamic": "binarised again from the grey levels at every step; the held-out images once, from the seed",
    "once": "binarised once from the grey levels, from the seed",
}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A published experiment on MNIST.

    Parameters
    ----------
    name
        The name that ``vaekit reproduce`` takes.
    title
        A short description.
    source
        The publication.
    images
        ``grey``, ``static``, ``dynamic`` or ``once``: how the images are binarised.
    held_out
        How many of the 60,000 training images are held out for selection.
    parts, latent
        The parts of the model, and the number of latent dimensions.
    settings
        The training settings.
    samples
        Importance samples for the log-likelihood; with 0 it is not measured.
    curve
        The epochs after which the held-out images (or the test images if none are held out) are evaluated.
    published
        Published numbers by name: ``negative ELBO, epoch N`` and ``negative log-likelihood, epoch N`` for the curve,
        and ``test negative ELBO`` and ``test negative log-likelihood`` for the end.
    deviations
        Differences from the published experiment, in words.
    """

    name: str
    title: str
    source: str
    images: Images
    held_out: int
    parts: Mapping[str, str]
    latent: int
    settings: TrainingSettings
    samples: int
    curve: tuple[int, ...] = ()
    published: Mapping[str, Figure] = field(default_factory=dict)
    deviations: str = ""

    def changed(
        self,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        samples: int | None = None,
    ) -> "Protocol":
        """Return the protocol with other settings, which its deviations then state; None keeps a setting.

        Raises
        ------
        UsageError
            If a value makes no sense, or there are more epochs or importance samples than in the publication.
        """
        asked = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
        new = {k: v for k, v in asked.items() if v is not None and v != getattr(self.settings, k)}
        if epochs is not None and epochs > self.settings.epochs:
            raise UsageError(f"epochs={epochs}: {self.name} has {self.settings.epochs}; give at most as many")
        stated = [
            f"{name.replace('_', ' ')} {v:g} instead of {getattr(self.settings, name):g}"
            for name, v in new.items()
        ]
        if samples is None:
            samples = self.samples
        elif not 1 <= samples <= self.samples:
            most = "at most as many, and at least 1" if self.samples else "none"
            raise UsageError(f"samples={samples}: {self.name} has {self.samples}; give {most}")
        if samples != self.samples:
            stated.append(f"importance samples {samples} instead of {self.samples}")
        deviations = "; ".join(filter(None, [self.deviations, *stated]))
        return replace(self, settings=replace(self.settings, **new), samples=samples, deviations=deviations)

    def to_json(self) -> dict[str, Any]:
        """Return everything that makes its numbers comparable, as a dictionary for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "unit": "nats an image",
            "images": _BINARISATION[self.images],
            "training_images": 60_000 - self.held_out,
            "held_out_images": self.held_out,
            "latent": self.latent,
            "settings": vars(self.settings),
            "importance_samples": self.samples,
            "last_batch": "kept",
            "deviations": self.deviations or "none known",
        }
