"""vaekit: variational autoencoders that are correct the first time, and divergences that are never wrong."""

from typing import TYPE_CHECKING, Any

from vaekit.language.front_door import HOMES, at_front_door

if TYPE_CHECKING:
    from vaekit.application import FitResult, fit_and_prove
    from vaekit.estimator import VariationalAutoencoder
    from vaekit.explorer import ExplorationPage
    from vaekit.jobs import Diagnosis, Imputer, OutlierDetector, Synthesizer, diagnose, load, pool
    from vaekit.sentence import register
    from vaekit.vae import VAE

__all__ = [
    "VAE",
    "Diagnosis",
    "ExplorationPage",
    "FitResult",
    "Imputer",
    "OutlierDetector",
    "Synthesizer",
    "VariationalAutoencoder",
    "__version__",
    "diagnose",
    "fit_and_prove",
    "load",
    "pool",
    "register",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    return at_front_door(name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
