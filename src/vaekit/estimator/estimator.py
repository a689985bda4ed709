"""The scikit-learn face: one estimator for every sentence of parts."""

from math import prod
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from vaekit.artifact import Artifact, read_artifact, write_artifact
from vaekit.data import Schema
from vaekit.estimator.code_verbs import CodeVerbs
from vaekit.estimator.fitted_verbs import FittedVerbs
from vaekit.estimator.fitting import Fitting
from vaekit.estimator.label_verbs import LabelVerbs
from vaekit.estimator.prior_fitting import PriorFitting
from vaekit.networks import NetworkRecipe
from vaekit.networks.own_networks import own_network

__all__ = ["VariationalAutoencoder", "load"]


class VariationalAutoencoder(Fitting, PriorFitting, FittedVerbs, CodeVerbs, LabelVerbs):
    r"""A variational autoencoder for arrays, data frames and images.

    Fits :math:`p(x) = \int p(x \mid z)\, p(z)\, dz` by maximising a bound. Every part is a spec string (see
    :mod:`vaekit.sentence`), so that ``GridSearchCV`` and ``Pipeline`` work.

    Parameters
    ----------
    latent
        Number of latent dimensions.
    network
        Encoder and decoder: ``mlp:hidden=400``, ``convolutional:channels=32x64``, ...; or an object of one's own with
        methods ``encoder(input_shape, output_shape)`` and ``decoder(input_shape, output_shape)`` that make modules.
    encoder, decoder
        Two networks of one's own instead, each a module (which is copied) or a function of the two shapes that makes
        one: see :class:`vaekit.networks.OwnNetwork`.
    posterior, prior
        :math:`q(z \mid x)` and :math:`p(z)`. A prior that is None is the natural one of the posterior's space:
        ``standard`` in :math:`\mathbb R^k`.
    likelihood
        :math:`p(x \mid z)`, or ``auto``: chosen by looking at the data, see ``likelihood_reason_``.
    columns
        Kinds of single columns by name, such as ``{"age": "negative-binomial"}``, where looking at the data would
        choose another: ``gaussian``, ``laplace``, ``student-t``, ``bernoulli``, ``poisson``,
        ``negative-binomial``, ``zero-inflated-negative-binomial`` or ``categorical``.
    objective
        What to maximise: ``elbo``, ``elbo:beta=4``, ``elbo:beta=linear:0..1/10`` (a schedule over epochs),
        ``iwae:samples=50``, ``tc:beta=6``, ...
    condition
        Names of columns, a list of them or one text with commas, that the model is told rather than describes:
        :math:`p(x \mid c)`. ``labels`` are the labels of a data set. What holds text or few whole numbers is
        categorical, everything else continuous, unless ``NAME:categorical`` or ``NAME:continuous`` says so. With the
        objective ``m2`` a label may be missing: NaN, None, empty, or -1 among whole numbers.
    epochs, batch_size, learning_rate, patience, schedule, optimizer, clip, averaging, output_bias, compile, precision
        See :class:`vaekit.training.TrainingSettings`; epochs and batch size that are None follow from the
        number of rows.
    device
        ``cpu``, ``cuda``, or ``auto``.
    memory_limit
        Memory for data, such as ``"2GB"``, a quarter of the machine's by default. An array mapped into memory
        (``numpy.load(path, mmap_mode="r")``) that needs more is left in its file, and read in windows as it is trained
        on: see :mod:`vaekit.data.mapped` and :mod:`vaekit.training.streamed`.
    random_state
        One seed for initialisation, order and noise: the same seed gives the same bytes on the CPU.
    verbose
        Whether to print a line an epoch on standard error.

    Attributes
    ----------
    model_ : VAE
        The model, with the weights of its best epoch.
    schema_ : Schema
        What it expects of data, scaling included.
    sentence_ : Sentence
        All five parts with all their options.
    history_ : History
        The training run.
    likelihood_reason_ : str
        Why the likelihood was chosen, or that it was asked for.
    settings_ : TrainingSettings
        How it was trained, everything filled in.
    seed_ : int
        The seed that was used.
    origin_ : dict
        Where the data came from, where the artifact it was loaded from says so.
    prior_fit_ : PriorFit
        How well a prior was fitted after training, where :meth:`fit_prior` was called.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x = load_iris().data
    >>> vae = VariationalAutoencoder(latent=2, epochs=3, random_state=0).fit(x)
    >>> vae.transform(x).shape, vae.score_samples(x).shape
    ((150, 2), (150,))
    """

    n_features_in_: int

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the portable artifact, a folder without pickle; see :mod:`vaekit.artifact`."""
        write_artifact(Path(path), self.to_artifact(), force=force)

    def to_artifact(self, data: dict[str, Any] | None = None) -> Artifact:
        """Gather what the artifact holds; ``data`` says where the data came from."""
        check_is_fitted(self, "model_")
        return Artifact(
            model=self.model_,
            sentence=self.sentence_,
            latent=self.latent,
            schema=self.schema_,
            settings=self.settings_,
            seed=self.seed_,
            history=self.history_,
            data={**(self.origin_ if data is None else data), "likelihood_reason": self.likelihood_reason_},
        )

    @classmethod
    def from_artifact(
        cls, artifact: Artifact, *, device: str = "auto", network: NetworkRecipe | None = None
    ) -> "VariationalAutoencoder":
        """Make a fitted estimator of an artifact; ``network`` is what it was read with."""
        settings = artifact.settings
        estimator = cls(
            artifact.latent,
            network=str(artifact.sentence.network) if network is None else network,
            posterior=str(artifact.sentence.posterior),
            prior=str(artifact.sentence.prior),
            likelihood=str(artifact.sentence.likelihood),
            objective=str(artifact.sentence.objective),
            condition=_names_of(artifact.schema),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            patience=settings.patience,
            schedule=settings.schedule,
            optimizer=settings.optimizer,
            clip=settings.clip,
            averaging=settings.averaging,
            output_bias=settings.output_bias,
            compile=settings.compile,
            precision=settings.precision,
            device=device,
            random_state=artifact.seed,
        )
        estimator.model_ = artifact.model.to(estimator._torch_device())
        estimator.schema_, estimator.sentence_ = artifact.schema, artifact.sentence
        estimator.settings_, estimator.history_ = settings, artifact.history
        estimator.seed_, estimator.origin_ = artifact.seed, artifact.data
        estimator.likelihood_reason_ = artifact.data.get("likelihood_reason", "unknown")
        estimator.n_features_in_ = prod(artifact.schema.event_shape)
        return estimator


def load(
    path: str | Path,
    *,
    device: str = "auto",
    encoder: Any = None,
    decoder: Any = None,
    network: NetworkRecipe | None = None,
) -> VariationalAutoencoder:
    """Load an artifact as a fitted estimator. Runs no code from it and reads no pickle.

    Parameters
    ----------
    path
        A ``NAME.vae`` folder.
    device
        ``cpu``, ``cuda``, or ``auto``.
    encoder, decoder, network
        What the estimator was given, where it was given networks of one's own: the artifact holds their weights and
        not their code.

    Raises
    ------
    UsageError
        If networks of one's own are missing, or given where there are none.
    ArtifactError
        If it is missing, damaged, or from a newer version of vaekit.
    """
    own = own_network(network, encoder, decoder)
    return VariationalAutoencoder.from_artifact(
        read_artifact(Path(path), network=own), device=device, network=own
    )


def _names_of(schema: Schema) -> list[str] | None:
    """The conditions of a schema as the parameter writes them."""
    if schema.conditions is None:
        return None
    kinds = {True: "continuous", False: "categorical"}
    return [f"{c.name}:{kinds[c.categories is None]}" for c in schema.conditions.conditions]
