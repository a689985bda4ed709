"""The protocols of two tables that compare a curved latent space with a flat one, each table by one definition."""

from vaekit.reproductions.figures import Figure
from vaekit.reproductions.protocol import Protocol
from vaekit.training import TrainingSettings

__all__ = ["POINCARE", "S_VAE"]


def _spherical(name: str, dimensions: int, published: float, spread: float, *, flat: bool) -> Protocol:
    if flat:
        title, latent, parts = f"Gaussian, z {dimensions}", dimensions, {}
    else:
        title, latent = f"von Mises-Fisher, S^{dimensions}", dimensions + 1
        parts = {"posterior": "von-mises-fisher:floor=1", "prior": "uniform-sphere"}
    return Protocol(
        name=name,
        title=f"Hyperspherical VAE on dynamic MNIST: 784-256-128 relu, {title}",
        source="Davidson et al. (2018), Hyperspherical Variational Auto-Encoders, table 1, from memory",
        images="dynamic",
        held_out=10_000,
        parts={
            "network": "mlp:hidden=256x128,activation=relu",
            **parts,
            "likelihood": "bernoulli",
            "objective": "elbo:warmup=100",
        },
        latent=latent,
        settings=TrainingSettings(epochs=1000, batch_size=64, learning_rate=1e-3, patience=50, clip=None),
        samples=500,
        published={"test negative log-likelihood": Figure(published, spread)},
        deviations="the held-out and the test images are binarised once; the authors' code does so at every evaluation",
    )


#: The table of the hyperspherical VAE: a sphere of so many dimensions, and a flat space of as many.
S_VAE: tuple[Protocol, ...] = (
    _spherical("s-vae-mnist-2", 2, 132.50, 0.73, flat=False),
    _spherical("s-vae-mnist-5", 5, 108.43, 0.09, flat=False),
    _spherical("s-vae-mnist", 10, 93.16, 0.31, flat=False),
    _spherical("s-vae-mnist-20", 20, 89.02, 0.31, flat=False),
    _spherical("s-vae-mnist-40", 40, 90.87, 0.34, flat=False),
    _spherical("s-vae-gaussian-2", 2, 135.73, 0.83, flat=True),
    _spherical("s-vae-gaussian-5", 5, 110.21, 0.21, flat=True),
    _spherical("s-vae-gaussian-20", 20, 88.90, 0.26, flat=True),
    _spherical("s-vae-gaussian-40", 40, 88.93, 0.30, flat=True),
)


def _hyperbolic(
    name: str,
    dimensions: int,
    published: float,
    spread: float,
    *,
    curvature: float | None,
    isotropic: bool = False,
) -> Protocol:
    if curvature is None:
        title, parts, deviations = "Gaussian", {}, ""
    else:
        title = f"wrapped normal{' of one variance an example' if isotropic else ''}, c {curvature:g}"
        spec = f"wrapped-normal:curvature={curvature:g}" + (",isotropic=true" if isotropic else "")
        parts = {"posterior": spec, "prior": "wrapped-normal"}
        deviations = (
            "the decoder begins with a logarithmic map, the authors' command with distances to geodesics"
        )
    return Protocol(
        name=name,
        title=f"Poincaré VAE on MNIST's grey levels: 784-600 relu, {title}, z {dimensions}",
        source="Mathieu et al. (2019), Continuous Hierarchical Representations with Poincaré VAEs, table 2, "
        "from memory",
        images="grey",
        held_out=0,
        parts={
            "network": "mlp:hidden=600,activation=relu",
            **parts,
            "likelihood": "bernoulli",
            "objective": "iwae:samples=1",  # the ELBO with the KL estimated from the draw, as in the source
        },
        latent=dimensions,
        settings=TrainingSettings(
            epochs=80, batch_size=128, learning_rate=5e-4, optimizer="adam:amsgrad=true", clip=None
        ),
        samples=5000,
        published={"test negative log-likelihood": Figure(published, spread)},
        deviations=deviations,
    )


#: The table of the Poincaré VAE: hyperbolic space of curvature -0.2, and flat space; first a row of an older version.
POINCARE: tuple[Protocol, ...] = (
    _hyperbolic("poincare-mnist", 10, 101.47, 0.5, curvature=0.7, isotropic=True),
    _hyperbolic("poincare-mnist-2", 2, 144.2, 0.5, curvature=0.2),
    _hyperbolic("poincare-mnist-5", 5, 115.3, 0.3, curvature=0.2),
    _hyperbolic("poincare-mnist-10", 10, 100.0, 0.1, curvature=0.2),
    _hyperbolic("poincare-mnist-20", 20, 97.1, 0.1, curvature=0.2),
    _hyperbolic("poincare-gaussian-2", 2, 144.5, 0.4, curvature=None),
    _hyperbolic("poincare-gaussian-5", 5, 114.7, 0.1, curvature=None),
    _hyperbolic("poincare-gaussian-10", 10, 100.2, 0.1, curvature=None),
    _hyperbolic("poincare-gaussian-20", 20, 97.6, 0.1, curvature=None),
)
