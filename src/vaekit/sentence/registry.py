"""Every part by room and by name: the only file of the library that knows parts by name."""

from collections.abc import Callable
from typing import Any, Literal

from vaekit.likelihoods import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    MixedLikelihood,
    MultiScaleSimilarityLikelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    StudentTLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
)
from vaekit.networks import (
    ConvolutionalNetwork,
    GatedNetwork,
    MlpNetwork,
    ResidualConvolutionalNetwork,
    ResidualNetwork,
)
from vaekit.objectives import (
    Adversarial,
    CombinationImportanceWeighted,
    DisentangledInferredPrior,
    Elbo,
    FactorizedPosterior,
    ImportanceWeighted,
    MaximumMeanDiscrepancy,
    MultiplyImportanceWeighted,
    PartiallyImportanceWeighted,
    RegularizedAutoencoder,
    Renyi,
    SemiSupervised,
    TotalCorrelation,
    VaeGan,
)
from vaekit.posteriors import (
    CategoricalPosterior,
    ChainPosterior,
    DiagonalPosterior,
    FullPosterior,
    HamiltonianPosterior,
    InverseAutoregressivePosterior,
    LowRankPosterior,
    MaskedAutoregressivePosterior,
    PlanarPosterior,
    PointPosterior,
    QuantizedPosterior,
    ResidualQuantizedPosterior,
    SplinePosterior,
    VonMisesFisherPosterior,
    WrappedNormalPosterior,
)
from vaekit.priors import (
    AutoregressivePrior,
    CategoricalPrior,
    ChainPrior,
    FlowPrior,
    GaussianMixturePrior,
    GaussianPrior,
    MixturePrior,
    StandardPrior,
    TwoStagePrior,
    UniformSpherePrior,
    VampPrior,
    WrappedNormalPrior,
)

__all__ = ["PARTS", "Room", "natural_prior", "space_of"]

Room = Literal["network", "posterior", "prior", "likelihood", "objective"]

#: Every part by room and by name: what may stand in a sentence.
PARTS: dict[Room, dict[str, Callable[..., Any]]] = {
    "network": {
        "mlp": MlpNetwork,
        "convolutional": ConvolutionalNetwork,
        "residual": ResidualNetwork,
        "residual-convolutional": ResidualConvolutionalNetwork,
        "gated": GatedNetwork,
    },
    "posterior": {
        "diagonal": DiagonalPosterior,
        "full": FullPosterior,
        "low-rank": LowRankPosterior,
        "point": PointPosterior,
        "iaf": InverseAutoregressivePosterior,
        "maf": MaskedAutoregressivePosterior,
        "spline": SplinePosterior,
        "planar": PlanarPosterior,
        "hamiltonian": HamiltonianPosterior,
        "quantized": QuantizedPosterior,
        "residual-quantized": ResidualQuantizedPosterior,
        "categorical": CategoricalPosterior,
        "chain": ChainPosterior,
        "von-mises-fisher": VonMisesFisherPosterior,
        "wrapped-normal": WrappedNormalPosterior,
    },
    "prior": {
        "standard": StandardPrior,
        "gaussian": GaussianPrior,
        "mixture": MixturePrior,
        "gmm": GaussianMixturePrior,
        "vamp": VampPrior,
        "flow": FlowPrior,
        "two-stage": TwoStagePrior,
        "categorical": CategoricalPrior,
        "autoregressive": AutoregressivePrior,
        "chain": ChainPrior,
        "uniform-sphere": UniformSpherePrior,
        "wrapped-normal": WrappedNormalPrior,
    },
    "likelihood": {
        "bernoulli": BernoulliLikelihood,
        "continuous-bernoulli": ContinuousBernoulliLikelihood,
        "gaussian": GaussianLikelihood,
        "laplace": LaplaceLikelihood,
        "student-t": StudentTLikelihood,
        "categorical": CategoricalLikelihood,
        "discretized-logistic": DiscretizedLogisticLikelihood,
        "poisson": PoissonLikelihood,
        "negative-binomial": NegativeBinomialLikelihood,
        "zero-inflated-negative-binomial": ZeroInflatedNegativeBinomialLikelihood,
        "mixed": MixedLikelihood,
        "ms-ssim": MultiScaleSimilarityLikelihood,
    },
    "objective": {
        "elbo": Elbo,
        "iwae": ImportanceWeighted,
        "miwae": MultiplyImportanceWeighted,
        "piwae": PartiallyImportanceWeighted,
        "ciwae": CombinationImportanceWeighted,
        "renyi": Renyi,
        "tc": TotalCorrelation,
        "dip": DisentangledInferredPrior,
        "mmd": MaximumMeanDiscrepancy,
        "factor": FactorizedPosterior,
        "adversarial": Adversarial,
        "vae-gan": VaeGan,
        "rae": RegularizedAutoencoder,
        "m2": SemiSupervised,
    },
}


def space_of(part: Callable[..., Any]) -> str:
    """Where the latents of a posterior or prior live; ``euclidean`` unless it says otherwise."""
    return getattr(part, "space", "euclidean")


def natural_prior(posterior: Callable[..., Any]) -> str:
    """The first prior of the posterior's space."""
    priors = PARTS["prior"]
    return next(
        (kind for kind, part in priors.items() if space_of(part) == space_of(posterior)), next(iter(priors))
    )
