"""vaekit: variational autoencoders that are correct the first time, and divergences that are never wrong."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaekit.application import FitResult, fit_and_prove
    from vaekit.estimator import VariationalAutoencoder, load
    from vaekit.explorer import ExplorationPage
    from vaekit.jobs import Diagnosis, Imputer, OutlierDetector, Synthesizer, diagnose, pool
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

# Names that need torch are imported when they are first asked for: `vaekit --help` answers without it.
_HOMES = {
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
    "load": "vaekit.estimator",
    "pool": "vaekit.jobs",
    "register": "vaekit.sentence",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vaekit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
