"""What a published experiment did, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vaekit.errors import UsageError
from vaekit.training import TrainingSettings

__all__ = ["Figure", "Images", "Protocol"]

Images = Literal["grey", "static", "dynamic", "once"]

_BINARISATION: dict[Images, str] = {
    "grey": "grey levels in [0, 1] as they are",
    "static": "Larochelle's static binarisation",
    "dynamic": "binarised anew from the grey levels at every step; the held-out images once, from the seed",
    "once": "binarised once from the grey levels, from the seed",
}


@dataclass(frozen=True)
class Figure:
    """A published number.

    Parameters
    ----------
    value
        In nats an image.
    spread
        How far an honest repetition may lie from it: the published spread, or that of independent repetitions.
    """

    value: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A published experiment on MNIST.

    Parameters
    ----------
    name
        What ``vaekit reproduce`` takes.
    title
        What it is.
    source
        Where it was published.
    images
        ``grey``, ``static``, ``dynamic`` or ``once``: how the images are binarised.
    held_out
        How many of the 60,000 training images are held out for selection.
    parts, latent
        The sentence.
    settings
        Of the training.
    samples
        Importance samples of the log-likelihood; 0: none is measured.
    curve
        Epochs after which the held-out images (the test images where none are held out) are evaluated.
    published
        Figures by name: ``negative ELBO, epoch N`` and ``negative log-likelihood, epoch N`` for the curve, ``test
        negative ELBO`` and ``test negative log-likelihood`` at the end.
    deviations
        Where this differs from what was published.
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
    ) -> "Protocol":
        """The same with another training, which it then states among its deviations; None: as it was published.

        Raises
        ------
        UsageError
            For a value that makes no sense, or more epochs than were published.
        """
        asked = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
        new = {k: v for k, v in asked.items() if v is not None and v != getattr(self.settings, k)}
        if epochs is not None and epochs > self.settings.epochs:
            raise UsageError(f"epochs={epochs}: {self.name} has {self.settings.epochs}; give at most as many")
        stated = [
            f"{name.replace('_', ' ')} {v:g} instead of {getattr(self.settings, name):g}"
            for name, v in new.items()
        ]
        deviations = "; ".join(filter(None, [self.deviations, *stated]))
        return replace(self, settings=replace(self.settings, **new), deviations=deviations)

    def to_json(self) -> dict[str, Any]:
        """Everything that makes its numbers comparable, in words."""
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "images": _BINARISATION[self.images],
            "training_images": 60_000 - self.held_out,
            "held_out_images": self.held_out,
            "latent": self.latent,
            "settings": vars(self.settings),
            "importance_samples": self.samples,
            "last_batch": "kept",
            "deviations": self.deviations or "none known",
        }
