"""The literature's models, each as a sentence of parts: the table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["MODELS", "NamedModel"]


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model of the literature.

    Parameters
    ----------
    name
        What ``--model`` takes.
    title
        What its paper calls it.
    paper
        Authors, year and title.
    place
        Where the paper defines it: equation or section.
    parts
        Specs by room, those that make it what it is; empty where the model is left out.
    note
        What a user should know: where the sentence differs from the paper, or why there is none.
    pythae
        The class of the same model in pythae 0.1, where it has one.

    Examples
    --------
    >>> next(model for model in MODELS if model.name == "beta-vae").sentence
    'objective=elbo:beta=4'
    """

    name: str
    title: str
    paper: str
    place: str
    parts: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    pythae: str = ""

    @property
    def is_left_out(self) -> bool:
        """Whether there is no sentence for it."""
        return not self.parts

    @property
    def sentence(self) -> str:
        """The parts that are not the defaults, as they are written."""
        return " ".join(f"{room}={spec}" for room, spec in self.parts.items())


#: Every model of the table, in the order of their years.
MODELS: tuple[NamedModel, ...] = (
    NamedModel(
        name="vae",
        title="Variational autoencoder",
        paper='Kingma and Welling (2013), "Auto-Encoding Variational Bayes"',
        place="equations 3, 7 and 10",
        parts={"posterior": "diagonal", "prior": "standard", "objective": "elbo"},
        pythae="VAE",
    ),
    NamedModel(
        name="ae",
        title="Autoencoder",
        paper='Hinton and Salakhutdinov (2006), "Reducing the Dimensionality of Data with Neural Networks"',
        place="section 1",
        parts={"posterior": "point", "objective": "rae:penalty=l2,beta=0,weight=0"},
        note="no noise and no penalty: it reconstructs, and has no bound to report",
        pythae="AE",
    ),
    NamedModel(
        name="aae",
        title="Adversarial autoencoder",
        paper='Makhzani et al. (2015), "Adversarial Autoencoders"',
        place="section 2",
        parts={"posterior": "point", "objective": "adversarial"},
        pythae="Adversarial_AE",
    ),
    NamedModel(
        name="planar",
        title="VAE with planar flows as posterior",
        paper='Rezende and Mohamed (2015), "Variational Inference with Normalizing Flows"',
        place="equations 10 to 13",
        parts={"posterior": "planar"},
        note="the parameters depend on x, and every layer is invertible",
        pythae="VAE_LinNF",
    ),
    NamedModel(
        name="iwae",
        title="Importance weighted autoencoder",
        paper='Burda, Grosse and Salakhutdinov (2015), "Importance Weighted Autoencoders"',
        place="equation 8",
        parts={"objective": "iwae:samples=50"},
        pythae="IWAE",
    ),
    NamedModel(
        name="iwae-two-layers",
        title="IWAE with two stochastic layers",
        paper='Burda, Grosse and Salakhutdinov (2015), "Importance Weighted Autoencoders"',
        place="section 5 and equation 8",
        parts={"posterior": "chain", "prior": "chain", "objective": "iwae:samples=50"},
    ),
    NamedModel(
        name="free-bits",
        title="VAE with free bits",
        paper='Kingma et al. (2016), "Improved Variational Inference with Inverse Autoregressive Flow"',
        place="equation 16",
        parts={"objective": "elbo:free_bits=0.25"},
    ),
    NamedModel(
        name="iaf",
        title="VAE with an inverse autoregressive flow as posterior",
        paper='Kingma et al. (2016), "Improved Variational Inference with Inverse Autoregressive Flow"',
        place="equations 12 to 14",
        parts={"posterior": "iaf:layers=2"},
        pythae="VAE_IAF",
    ),
    NamedModel(
        name="vae-gan",
        title="VAE/GAN",
        paper='Larsen et al. (2016), "Autoencoding beyond pixels using a learned similarity metric"',
        place="equations 6 to 8, algorithm 1",
        parts={"objective": "vae-gan"},
        pythae="VAEGAN",
    ),
    NamedModel(
        name="vr",
        title="Variational Rényi bound",
        paper='Li and Turner (2016), "Rényi Divergence Variational Inference"',
        place="equations 4 and 9",
        parts={"objective": "renyi:alpha=0.5"},
    ),
    NamedModel(
        name="gm-vae",
        title="VAE with a mixture of Gaussians as prior",
        paper='Dilokthanakul et al. (2016), "Deep Unsupervised Clustering with Gaussian Mixture VAEs"',
        place="equation 1; as MoG in Tomczak and Welling (2018), section 4.1",
        parts={"prior": "mixture:components=10"},
        note="the marginal over the component in closed form, without an inference network for it",
    ),
    NamedModel(
        name="beta-vae",
        title="beta-VAE",
        paper='Higgins et al. (2017), "beta-VAE: Learning Basic Visual Concepts"',
        place="equation 4",
        parts={"objective": "elbo:beta=4"},
        pythae="BetaVAE",
    ),
    NamedModel(
        name="vq-vae",
        title="VQ-VAE",
        paper='van den Oord, Vinyals and Kavukcuoglu (2017), "Neural Discrete Representation Learning"',
        place="equations 1 to 3",
        parts={"posterior": "quantized:codes=512", "prior": "categorical"},
        note="an autoregressive prior over the codes: prior=autoregressive, or vaekit fit-prior afterwards",
        pythae="VQVAE",
    ),
    NamedModel(
        name="concrete-vae",
        title="VAE with categorical latents, relaxed",
        paper='Jang, Gu and Poole (2017), "Categorical Reparameterization with Gumbel-Softmax"',
        place="equation 2",
        parts={"posterior": "categorical:categories=10", "prior": "categorical"},
    ),
    NamedModel(
        name="maf-prior",
        title="VAE with a masked autoregressive flow as prior",
        paper='Papamakarios, Pavlakou and Murray (2017), "Masked Autoregressive Flow for Density Estimation"',
        place="section 3",
        parts={"prior": "flow:kind=maf"},
    ),
    NamedModel(
        name="stl",
        title="Sticking the landing",
        paper='Roeder, Wu and Duvenaud (2017), "Sticking the Landing"',
        place="equation 7",
        parts={"objective": "iwae:samples=1,gradient=stl"},
    ),
    NamedModel(
        name="hvae",
        title="Hamiltonian VAE",
        paper='Caterini, Doucet and Sejdinovic (2018), "Hamiltonian Variational Auto-Encoder"',
        place="equations 10 to 12, algorithm 1",
        parts={"posterior": "hamiltonian:steps=3"},
        note="bound over the extended space of latents and momenta, which holds for log p(x) as it stands",
        pythae="HVAE",
    ),
    NamedModel(
        name="capacity-vae",
        title="beta-VAE with controlled capacity",
        paper='Burgess et al. (2018), "Understanding disentangling in beta-VAE"',
        place="equation 8",
        parts={"objective": "elbo:beta=1000,capacity=linear:0..25/100"},
        pythae="DisentangledBetaVAE",
    ),
    NamedModel(
        name="vamp",
        title="VampPrior",
        paper='Tomczak and Welling (2018), "VAE with a VampPrior"',
        place="equation 9",
        parts={"prior": "vamp:components=500"},
        pythae="VAMP",
    ),
    NamedModel(
        name="factor-vae",
        title="FactorVAE",
        paper='Kim and Mnih (2018), "Disentangling by Factorising"',
        place="equation 2",
        parts={"objective": "factor:gamma=6"},
        pythae="FactorVAE",
    ),
    NamedModel(
        name="wae-mmd",
        title="Wasserstein autoencoder with maximum mean discrepancy",
        paper='Tolstikhin et al. (2018), "Wasserstein Auto-Encoders"',
        place="equation 4 and algorithm 2",
        parts={"posterior": "point", "likelihood": "gaussian:scale=fixed", "objective": "mmd"},
        pythae="WAE_MMD",
    ),
    NamedModel(
        name="beta-tcvae",
        title="beta-TCVAE",
        paper='Chen et al. (2018), "Isolating Sources of Disentanglement in VAEs"',
        place="equations 2 and 5",
        parts={"objective": "tc:beta=6"},
        pythae="BetaTCVAE",
    ),
    NamedModel(
        name="s-vae",
        title="Hyperspherical VAE",
        paper='Davidson et al. (2018), "Hyperspherical Variational Auto-Encoders"',
        place="section 3",
        parts={"posterior": "von-mises-fisher", "prior": "uniform-sphere"},
        pythae="SVAE",
    ),
    NamedModel(
        name="dip-vae-1",
        title="DIP-VAE-I",
        paper='Kumar, Sattigeri and Balakrishnan (2018), "Variational Inference of Disentangled Latent Concepts from '
        'Unlabeled Observations"',
        place="equation 6",
        parts={"objective": "dip:kind=1"},
    ),
    NamedModel(
        name="dip-vae-2",
        title="DIP-VAE-II",
        paper='Kumar, Sattigeri and Balakrishnan (2018), "Variational Inference of Disentangled Latent Concepts from '
        'Unlabeled Observations"',
        place="equation 7",
        parts={"objective": "dip:kind=2"},
    ),
    NamedModel(
        name="miwae",
        title="Multiply importance weighted autoencoder",
        paper='Rainforth et al. (2018), "Tighter Variational Bounds are Not Necessarily Better"',
        place="equation 15",
        parts={"objective": "miwae:samples=8,groups=8"},
        note="not the missing-data importance weighted autoencoder of Mattei and Frellsen (2019)",
        pythae="MIWAE",
    ),
    NamedModel(
        name="piwae",
        title="Partially importance weighted autoencoder",
        paper='Rainforth et al. (2018), "Tighter Variational Bounds are Not Necessarily Better"',
        place="section 5.1",
        parts={"objective": "piwae:samples=8,groups=8"},
        pythae="PIWAE",
    ),
    NamedModel(
        name="ciwae",
        title="Combination importance weighted autoencoder",
        paper='Rainforth et al. (2018), "Tighter Variational Bounds are Not Necessarily Better"',
        place="equation 17",
        parts={"objective": "ciwae:samples=50,beta=0.05"},
        pythae="CIWAE",
    ),
    NamedModel(
        name="dreg",
        title="Doubly reparameterised IWAE",
        paper='Tucker et al. (2018), "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives"',
        place="equation 7",
        parts={"objective": "iwae:samples=50,gradient=dreg"},
    ),
    NamedModel(
        name="infovae",
        title="InfoVAE with maximum mean discrepancy",
        paper='Zhao, Song and Ermon (2019), "InfoVAE: Balancing Learning and Inference"',
        place="equation 6",
        parts={"objective": "mmd:alpha=0,weight=1000"},
        pythae="INFOVAE_MMD",
    ),
    NamedModel(
        name="poincare-vae",
        title="Poincaré VAE with a wrapped normal",
        paper='Mathieu et al. (2019), "Continuous Hierarchical Representations with Poincaré VAEs"',
        place="sections 3.1 and 3.2",
        parts={"posterior": "wrapped-normal:curvature=1", "prior": "wrapped-normal"},
        pythae="PoincareVAE",
    ),
    NamedModel(
        name="full-covariance",
        title="VAE with a full-covariance Gaussian posterior",
        paper='Kingma and Welling (2019), "An Introduction to Variational Autoencoders"',
        place="section 2.5.1",
        parts={"posterior": "full"},
    ),
    NamedModel(
        name="cb-vae",
        title="Continuous Bernoulli VAE",
        paper='Loaiza-Ganem and Cunningham (2019), "The continuous Bernoulli"',
        place="equations 6 to 8",
        parts={"likelihood": "continuous-bernoulli"},
    ),
    NamedModel(
        name="cyclical",
        title="VAE with cyclical annealing",
        paper='Fu et al. (2019), "Cyclical Annealing Schedule"',
        place="equations 6 and 7",
        parts={"objective": "elbo:beta=cyclical:0..1/10"},
    ),
    NamedModel(
        name="rae-l2",
        title="Regularised autoencoder, weight decay",
        paper='Ghosh et al. (2020), "From Variational to Deterministic Autoencoders"',
        place="equation 11",
        parts={"posterior": "point", "objective": "rae:penalty=l2"},
        note="sampled from after vaekit fit-prior --prior gmm",
        pythae="RAE_L2",
    ),
    NamedModel(
        name="rae-gp",
        title="Regularised autoencoder, gradient penalty",
        paper='Ghosh et al. (2020), "From Variational to Deterministic Autoencoders"',
        place="equation 9",
        parts={"posterior": "point", "objective": "rae:penalty=gradient"},
        pythae="RAE_GP",
    ),
    NamedModel(
        name="rae-sn",
        title="Regularised autoencoder, spectral normalisation",
        paper='Ghosh et al. (2020), "From Variational to Deterministic Autoencoders"',
        place="section 3.1",
        parts={"posterior": "point", "objective": "rae:penalty=spectral"},
    ),
    NamedModel(
        name="two-stage",
        title="Two-stage VAE",
        paper='Dai and Wipf (2019), "Diagnosing and Enhancing VAE Models"',
        place="section 4",
        parts={"prior": "two-stage"},
        note="both stages learn at once; in two stages, as in the paper: fit, then vaekit fit-prior --prior two-stage",
    ),
    NamedModel(
        name="rq-vae",
        title="Residual-quantised VAE",
        paper='Lee et al. (2022), "Autoregressive Image Generation using Residual Quantization"',
        place="equations 2 to 4 and 7",
        parts={"posterior": "residual-quantized:levels=4,codes=256", "prior": "categorical"},
    ),
    NamedModel(
        name="ms-ssim-vae",
        title="VAE trained on multi-scale structural similarity",
        paper='Snell et al. (2017), "Learning to generate images with perceptual similarity metrics"',
        place="section on probabilistic autoencoders",
        parts={"likelihood": "ms-ssim"},
        note="images only; the similarity is no probability, so there is no log-likelihood to report",
        pythae="MSSSIM_VAE",
    ),
    NamedModel(
        name="m2",
        title="Semi-supervised VAE, M2",
        paper='Kingma et al. (2014), "Semi-supervised Learning with Deep Generative Models"',
        place="equations 6 to 9",
        parts={"objective": "m2:alpha=0.1"},
        note="needs a categorical condition, the label, which may be missing",
    ),
    NamedModel(
        name="rhvae",
        title="Riemannian Hamiltonian VAE",
        paper='Chadebec, Mantoux and Allassonnière (2020), "Geometry-Aware Hamiltonian Variational Auto-Encoder"',
        place="equation 5",
        note="its metric is learned from the encoder's means of the whole training set and kept in the model",
        pythae="RHVAE",
    ),
    NamedModel(
        name="hrq-vae",
        title="Hierarchical residual quantisation with a text decoder",
        paper='Hosking, Tang and Lapata (2022), "Hierarchical Sketch Induction for Paraphrase Generation"',
        place="equation 5",
        note="it belongs to a text decoder, and vaekit has none",
        pythae="HRQVAE",
    ),
)
