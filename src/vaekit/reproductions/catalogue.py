"""The experiments that ``vaekit reproduce`` knows: protocols on MNIST, and experiments on tables."""

from collections.abc import Sequence

from vaekit.errors import UsageError
from vaekit.language.grammar import there_are
from vaekit.reproductions.curved_spaces import POINCARE, S_VAE
from vaekit.reproductions.figures import Figure
from vaekit.reproductions.protocol import Protocol
from vaekit.reproductions.tables import TABLES, TableExperiment
from vaekit.training import TrainingSettings

__all__ = ["PROTOCOLS", "all_experiments", "find_experiment", "find_protocol"]


def all_experiments() -> tuple[Protocol | TableExperiment, ...]:
    """Return all protocols on MNIST, and after them all experiments on tables.

    >>> [experiment.name for experiment in all_experiments()][-1].startswith("tables-")
    True
    """
    return (*PROTOCOLS, *TABLES)


def find_experiment(name: str) -> Protocol | TableExperiment:
    """Return the experiment of that name, on MNIST or on tables.

    Raises
    ------
    UsageError
        If there is none; the message suggests the nearest name.

    Examples
    --------
    >>> find_experiment("tables-outliers").unit
    'area under the ROC curve'
    """
    by_name = {experiment.name: experiment for experiment in all_experiments()}
    if name not in by_name:
        raise UsageError(f"unknown reproduction {name!r}{there_are(name, by_name)}")
    return by_name[name]


def find_protocol(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises
    ------
    UsageError
        If there is no such protocol; the message suggests the nearest name.

    Examples
    --------
    >>> find_protocol("classic-mnist").latent
    20
    """
    found = find_experiment(name)
    if not isinstance(found, Protocol):
        raise UsageError(f"{name} is an experiment on tables, and no protocol on MNIST; take find_experiment")
    return found


def _curve(name: str, epochs: Sequence[int], values: Sequence[float], spread: float) -> dict[str, Figure]:
    return {f"{name}, epoch {e}": Figure(v, spread) for e, v in zip(epochs, values, strict=True)}


_CLASSIC = Protocol(
    name="classic-mnist",
    title="The VAE of the PyTorch examples: 784-400-20 relu",
    source="pytorch/examples, vae: the log of ten epochs; a second log ends at 105.59, runs spread by 0.2",
    images="grey",
    held_out=0,
    parts={"network": "mlp:hidden=400,activation=relu", "likelihood": "bernoulli"},
    latent=20,
    settings=TrainingSettings(epochs=10, batch_size=128, learning_rate=1e-3, clip=None),
    samples=0,
    curve=tuple(range(1, 11)),
    published=_curve(
        "negative ELBO",
        range(1, 11),
        (127.30, 115.79, 112.22, 109.64, 108.54, 107.70, 107.07, 106.66, 106.04, 105.56),
        0.5,
    ),
)

# With 391 steps an epoch, these epochs end nearest to 5,000, 10,000, ... 30,000 steps.
_STATIC_EPOCHS = (13, 26, 38, 51, 64, 77)

_MEAN_FIELD = Protocol(
    name="mean-field-static-mnist",
    title="Mean-field posterior on static MNIST: 784-256-256 relu, z 128",
    source="J. Altosaar's variational-autoencoder, log of 65,000 steps, with validation figures every 5,000",
    images="static",
    held_out=10_000,
    parts={
        "network": "mlp:hidden=256x256,activation=relu",
        "likelihood": "bernoulli",
        "objective": "iwae:samples=1",  # the ELBO with the KL estimated from the draw, as in the source
    },
    latent=128,
    settings=TrainingSettings(
        epochs=167, batch_size=128, learning_rate=1e-3, optimizer="rmsprop:centered=true", clip=None
    ),
    samples=128,
    curve=_STATIC_EPOCHS,
    published=_curve("negative ELBO", _STATIC_EPOCHS, (112.57, 108.49, 106.97, 106.23, 104.89, 104.50), 1.0)
    | _curve("negative log-likelihood", _STATIC_EPOCHS, (107.01, 102.62, 100.97, 100.04, 98.83, 98.34), 1.0)
    | {
        "test negative ELBO": Figure(103.31, 0.5),
        "test negative log-likelihood": Figure(97.10, 0.5),
    },
    deviations="an epoch is one permutation of the 50,000 training images, whose last batch has 80; the published run "
    "draws batches from a stream that is shuffled within a window",
)

_IAF = Protocol(
    name="iaf-static-mnist",
    title="Inverse autoregressive flow of depth 2, masked 256-256, on static MNIST: 784-256-256 relu, z 128",
    source="J. Altosaar's variational-autoencoder, log of a run of 150,000 steps",
    images="static",
    held_out=10_000,
    parts={
        "network": "mlp:hidden=256x256,activation=relu",
        "posterior": "iaf:layers=2,hidden=256x256,context=128",
        "likelihood": "bernoulli",
    },
    latent=128,
    settings=TrainingSettings(
        epochs=384, batch_size=128, learning_rate=1e-3, optimizer="rmsprop:centered=true", clip=None
    ),
    samples=128,
    curve=_STATIC_EPOCHS,
    published={
        "test negative ELBO": Figure(101.64, 0.5),
        "test negative log-likelihood": Figure(95.33, 0.5),
    },
)


_STATIC = Protocol(
    name="vae-static-mnist",
    title="VAE on static MNIST: 784-400-40 relu",
    source="a figure whose publication was not found",
    images="static",
    held_out=10_000,
    parts={"network": "mlp:hidden=400,activation=relu", "likelihood": "bernoulli"},
    latent=40,
    settings=TrainingSettings(epochs=500, batch_size=100, learning_rate=1e-4, clip=None),
    samples=200,
    published={"test negative log-likelihood": Figure(89.9, 0.5)},
    deviations="the published activation and use of the 10,000 validation images are not known",
)


def _importance_weighted(name: str, title: str, objective: str, published: float, spread: float) -> Protocol:
    return Protocol(
        name=name,
        title=f"{title} on dynamic MNIST: 784-200-200-50 tanh, one stochastic layer",
        source="Burda, Grosse and Salakhutdinov (2015), Importance Weighted Autoencoders, table 1"
        if "rainforth" not in name
        else "Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better, table 1",
        images="dynamic",
        held_out=0,
        parts={
            "network": "mlp:hidden=200x200,activation=tanh,initialisation=glorot",
            "likelihood": "bernoulli",
            "objective": objective,
        },
        latent=50,
        settings=TrainingSettings(
            epochs=3280,
            batch_size=20,
            learning_rate=1e-3,
            schedule="staircase",
            optimizer="adam:epsilon=1e-4",
            clip=None,
        ),
        samples=5000,
        published={"test negative log-likelihood": Figure(published, spread)},
    )


_VAMP_PARTS = {"network": "gated:hidden=300x300", "likelihood": "bernoulli", "objective": "elbo:warmup=100"}


def _vamp(name: str, title: str, prior: str) -> Protocol:
    return Protocol(
        name=name,
        title=f"{title} on static MNIST: gated dense 2 x 300, z 40",
        source="Tomczak and Welling (2018), VAE with a VampPrior, section 5",
        images="static",
        held_out=10_000,
        parts={**_VAMP_PARTS, "prior": prior},
        latent=40,
        settings=TrainingSettings(epochs=2000, batch_size=100, learning_rate=5e-4, patience=50, clip=None),
        samples=5000,
    )


#: All protocols; those of Burda, Rainforth and Tomczak need an accelerator.
PROTOCOLS: tuple[Protocol, ...] = (
    _CLASSIC,
    _MEAN_FIELD,
    _IAF,
    _STATIC,
    *S_VAE,
    *POINCARE,
    _importance_weighted("iwae-1", "IWAE, k = 1,", "elbo", 86.76, 0.4),
    _importance_weighted("iwae-5", "IWAE, k = 5,", "iwae:samples=5", 85.54, 0.4),
    _importance_weighted("iwae-50", "IWAE, k = 50,", "iwae:samples=50", 84.78, 0.4),
    _importance_weighted("rainforth-miwae", "MIWAE(8, 8)", "miwae:samples=8,groups=8", 84.97, 0.4),
    _importance_weighted("rainforth-piwae", "PIWAE(8, 8)", "piwae:samples=8,groups=8", 84.46, 0.4),
    _importance_weighted("rainforth-ciwae", "CIWAE(0.05)", "ciwae:samples=64,beta=0.05", 84.57, 0.4),
    _vamp("standard-static-mnist", "Standard prior", "standard"),
    _vamp("vamp-static-mnist", "VampPrior with 500 pseudo-inputs", "vamp:components=500"),
)
