"""The rooms of what stands at the front door, ``vaekit`` itself: imported when it is first asked for, by its name.

Names that need torch wait until then, so that ``vaekit --help`` answers without it. A room below may ask here for what
a room above makes, such as the page that a notebook shows of an estimator; it cannot import it.
"""

from importlib import import_module
from typing import Any

__all__ = ["HOMES", "at_front_door"]

HOMES = {
    "Diagnosis": "vaekit.jobs",
    "ExplorationPage": "vaekit.explorer",
    "FitResult": "vaekit.application",
    "Imputer": "vaekit.jobs",
    "OutlierDetector": "vaekit.jobs",
    "Synthesizer": "vaekit.jobs",
    "VAE": "vaekit.vae",
    "VariationalAutoencoder": "vaekit.estimator",
    "diagnose": "vaekit.jobs",
    "fit_and_prove": "vaekit.application",
    "load": "vaekit.jobs",
    "pool": "vaekit.jobs",
    "register": "vaekit.sentence",
}


def at_front_door(name: str) -> Any:
    """Return what has a name in ``vaekit``.

    Raises
    ------
    AttributeError
        If there is no such name.

    Examples
    --------
    >>> at_front_door("VAE").__module__
    'vaekit.vae'
    """
    if name not in HOMES:
        raise AttributeError(f"module 'vaekit' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
