"""Our own parts, offered through the same door as everybody's."""

from typing import Any

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
from vaekit.sentence.registry import PARTS, Room

__all__ = ["BUILT_IN"]

BUILT_IN: dict[Room, dict[str, Any]] = {
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

for _room, _kinds in BUILT_IN.items():
    for _name, _part in _kinds.items():
        PARTS[_room].add(_name, _part)
    PARTS[_room].built_in = frozenset(_kinds)
