"""The scikit-learn face: one estimator for every sentence of parts."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from vaekit.aggregate import PriorFit, fit_prior
from vaekit.artifact import Artifact, read_artifact, write_artifact
from vaekit.automatic import choose_columns, choose_likelihood
from vaekit.chunks import chunks, map_chunks
from vaekit.data import Dataset, Schema, split_indices
from vaekit.data.condition_columns import LABELS
from vaekit.data.mapped import memory_limit
from vaekit.data.stored import StoredRows
from vaekit.errors import UsageError
from vaekit.evaluation import Evaluation, evaluate, log_likelihood
from vaekit.fitting_schema import fit_schema
from vaekit.inputs import (
    check_latents,
    choose_device,
    fit_conditions,
    model_columns,
    read_input,
    read_names,
    to_model,
)
from vaekit.labels import check_labels, fill_labels, learns_labels, marginal_log_likelihood
from vaekit.networks import NetworkRecipe
from vaekit.networks.own import own_network, sentence_of
from vaekit.randomness import seeded
from vaekit.spec import Sentence, build_vae, parse
from vaekit.training import (
    Checkpoints,
    Compilation,
    EpochMetrics,
    History,
    Logger,
    OpponentSteps,
    OutputBias,
    StopRequest,
    StreamedRows,
    TrainingSettings,
    has_opponent,
    train,
)
from vaekit.training.optimizers import parse_optimizer
from vaekit.training.plan import describe_plan
from vaekit.vae import VAE, code_of

__all__ = ["VariationalAutoencoder", "load"]

_Floats = npt.NDArray[np.float32]
Given = Mapping[str, Any] | str | None
_ROWS_WORTH_SPLITTING = 20


class VariationalAutoencoder(TransformerMixin, BaseEstimator):
    r"""A variational autoencoder for arrays, data frames and images.

    Fits :math:`p(x) = \int p(x \mid z)\, p(z)\, dz` by maximising a bound. Every part is a spec string (see
    :mod:`vaekit.spec`), so that ``GridSearchCV`` and ``Pipeline`` work.

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
    objective
        What to maximise: ``elbo``, ``elbo:beta=4``, ``elbo:beta=linear:0..1/10`` (a schedule over epochs),
        ``iwae:samples=50``, ``tc:beta=6``, ...
    condition
        Names of columns, a list of them or one text with commas, that the model is told rather than describes:
        :math:`p(x \mid c)`. ``labels`` are the labels of a data set. What holds text or few whole numbers is
        categorical, everything else continuous, unless ``NAME:categorical`` or ``NAME:continuous`` says so. With the
        objective ``m2`` a label may be missing: NaN, None, empty, or -1 among whole numbers.
    epochs, batch_size, learning_rate, patience, schedule, optimizer, clip, averaging, output_bias, compile
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

    def __init__(
        self,
        latent: int = 10,
        *,
        network: str | NetworkRecipe = "mlp",
        encoder: Any = None,
        decoder: Any = None,
        posterior: str = "diagonal",
        prior: str | None = None,
        likelihood: str = "auto",
        objective: str = "elbo",
        condition: str | Sequence[str] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
        patience: int | None = 50,
        schedule: str = "cosine",
        optimizer: str = "adam",
        clip: float | Literal["auto"] | None = "auto",
        averaging: float | None = None,
        output_bias: OutputBias = "auto",
        compile: Compilation = "auto",
        device: str = "auto",
        memory_limit: str | int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.latent = latent
        self.network: str | NetworkRecipe = network
        self.encoder = encoder
        self.decoder = decoder
        self.posterior = posterior
        self.prior = prior
        self.likelihood = likelihood
        self.objective = objective
        self.condition = condition
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.schedule = schedule
        self.optimizer = optimizer
        self.clip: float | Literal["auto"] | None = clip
        self.averaging = averaging
        self.output_bias: OutputBias = output_bias
        self.compile: Compilation = compile
        self.device = device
        self.memory_limit = memory_limit
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that results are float32."""
        tags = super().__sklearn_tags__()
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        conditions: Any = None,
        validation: Any = None,
        validation_conditions: Any = None,
        on_epoch: Callable[[EpochMetrics, bool], None] | None = None,
        on_step: Callable[[float], None] | None = None,
        loggers: Sequence[Logger] = (),
        checkpoint: str | Path | None = None,
        checkpoint_minutes: float = 5.0,
        resume: bool = False,
        stop: StopRequest | None = None,
        on_plan: Callable[[str], None] | None = None,
    ) -> "VariationalAutoencoder":
        """Fit to data.

        Parameters
        ----------
        X
            Array, tensor, data frame, ``torch.utils.data.Dataset`` or :class:`vaekit.data.Dataset` of
            ``(n, columns)`` or ``(n, channels, height, width)``.
        y
            Ignored, but for a condition called ``labels``: those, where ``conditions`` does not say.
        conditions
            Values of the conditions: a dictionary of one array each, a data frame, or one array where there is one
            condition. None: columns of ``X``, or what the data set has.
        validation
            Held-out data for early stopping and the choice of the best weights. None: a tenth of ``X``, by
            a hash of row and seed, where patience is given and there are rows enough. False: none at all.
        validation_conditions
            As ``conditions``, of the held-out data.
        on_epoch
            Called after every epoch with its metrics and whether it is the best so far.
        on_step
            Called with the epochs done, a fraction, some times a second.
        loggers
            Their ``log`` is called after every epoch with its metrics.
        checkpoint
            A folder to keep the run in while it runs: made where missing, to be removed when it is needed no more.
        checkpoint_minutes
            Between two checkpoints.
        resume
            Go on from the newest checkpoint, to the same bytes (on the CPU) as if nothing had happened.
        stop
            To stop before the next step from elsewhere, see :class:`vaekit.training.StopRequest`.
        on_plan
            Called once before training where the data are read from their file as it goes, with an estimate of
            memory and time.

        Returns
        -------
        VariationalAutoencoder
            Itself.

        Raises
        ------
        UsageError
            For parameters that cannot be understood.
        DataError
            For data that cannot be used.
        TrainingDivergedError
            If the loss is not finite; the estimator then holds the best weights so far.
        CheckpointError
            If the folder's checkpoints are another run's, or none can be read.
        """
        self.check_parameters()
        names = read_names(self.condition)
        if conditions is None and y is not None and list(names) == [LABELS]:
            conditions = y
        dataset, held_out = self._dataset(X, conditions, reset=True), None
        seed = self._draw_seed()
        if validation is None and self.patience is not None and len(dataset) >= _ROWS_WORTH_SPLITTING:
            split = split_indices(len(dataset), seed, validation=0.1, test=0.0)
            dataset, held_out = dataset.take(split.train), dataset.take(split.validation)
        settings = self._settings(len(dataset))
        self._start(dataset, seed)
        if validation is not None and validation is not False:
            held_out = self._dataset(validation, validation_conditions, reset=False)
        if held_out is None:
            settings = replace(settings, patience=None)
        x, c = self._tensors(dataset)
        held_out_x, held_out_c = (None, None) if held_out is None else self._tensors(held_out)
        history = History()
        self.history_ = history
        self.settings_ = settings
        if on_plan is not None and isinstance(x, StreamedRows):
            on_plan(describe_plan(x, self.model_, self.sentence_.objective.build(), settings))
        train(
            self.model_,
            self.sentence_.objective.build(),
            x,
            held_out_x,
            settings=settings,
            seed=seed,
            c=c,
            validation_c=held_out_c,
            on_epoch=self._reporter(on_epoch),
            on_step=on_step,
            loggers=loggers,
            history=history,
            checkpoints=self._checkpoints(checkpoint, checkpoint_minutes, resume),
            stop=stop,
            column_names=model_columns(self.schema_),
        )
        return self

    def partial_fit(self, X: Any, y: Any = None, *, conditions: Any = None) -> "VariationalAutoencoder":
        """Train one more epoch on the rows of ``X``; the first call fixes the schema, scaling included."""
        self.check_parameters()
        first = not hasattr(self, "model_")
        if conditions is None and y is not None and list(read_names(self.condition)) == [LABELS]:
            conditions = y
        dataset = self._dataset(X, conditions, reset=first)
        settings = replace(self._settings(len(dataset)), epochs=1, patience=None, schedule="constant")
        if first:
            self._start(dataset, self._draw_seed())
            self.history_, self.settings_ = History(), settings
        optimizer_state = getattr(self, "_optimizer_state", None)
        optimizer = parse_optimizer(self.optimizer).build(self.model_.parameters(), self.learning_rate)
        if optimizer_state is not None:
            optimizer.load_state_dict(optimizer_state)
        opponent: OpponentSteps | None = getattr(self, "_opponent", None)
        objective = self.sentence_.objective.build() if opponent is None else opponent.objective
        if opponent is None and has_opponent(objective):
            opponent = OpponentSteps(
                objective, self.model_, learning_rate=self.learning_rate, seed=self.seed_ + 2
            )
        x, c = self._tensors(dataset)
        train(
            self.model_,
            objective,
            x,
            c=c,
            settings=settings,
            seed=self.seed_ + len(self.history_.epochs),
            on_epoch=self._reporter(None),
            history=self.history_,
            optimizer=optimizer,
            opponent=opponent,
        )
        self._optimizer_state, self._opponent = optimizer.state_dict(), opponent
        return self

    def fit_prior(
        self,
        prior: str,
        X: Any,
        *,
        conditions: Any = None,
        validation: Any = None,
        validation_conditions: Any = None,
        random_state: int | None = None,
    ) -> "VariationalAutoencoder":
        r"""Replace the prior by one fitted to the aggregate posterior :math:`\frac 1 n \sum_i q(z \mid x_i)`.

        Encoder and decoder stay as they are; what is sampled, scored and saved from then on is the model with the
        new prior. See :mod:`vaekit.aggregate`; ``prior_fit_`` says how well it went.

        Parameters
        ----------
        prior
            A spec such as ``gmm:components=10``, ``flow`` or ``gaussian``; for codes, ``autoregressive``.
        X
            The training data, as a rule.
        conditions, validation_conditions
            As for :meth:`fit`.
        validation
            Held-out data to stop early by. None: a tenth of ``X``, the rows that :meth:`fit` holds out of it.
            False: none at all.
        random_state
            Of all noise; by default it follows from the estimator's. The same seed gives the same bytes on the CPU.

        Raises
        ------
        UsageError
            For a prior that cannot be understood, does not fit the posterior, or has nothing to fit.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> x = load_iris().data
        >>> vae = VariationalAutoencoder(latent=2, epochs=3, random_state=0).fit(x)
        >>> str(vae.fit_prior("gmm:components=2", x).sentence_.prior)
        'gmm:components=2'
        """
        rows, held_out = self._rows(X, conditions), None
        if validation is None and len(rows) >= _ROWS_WORTH_SPLITTING:
            split = split_indices(len(rows), self.seed_, validation=0.1, test=0.0)
            rows, held_out = rows.take(split.train), rows.take(split.validation)
        elif validation is not None and validation is not False:
            held_out = self._rows(validation, validation_conditions)
        x, c = self._tensors(rows)
        held_out_x, held_out_c = (None, None) if held_out is None else self._tensors(held_out)
        sentence = replace(self.sentence_, prior=parse("prior", prior))
        seed = self.seed_ + 3 if random_state is None else random_state
        shape, log_jacobian = self.schema_.model_event_shape, self.schema_.log_jacobian
        with seeded(seed):  # a whole model, so that all that a sentence is refused for is looked at
            fresh = build_vae(
                sentence, shape, int(self.latent), log_jacobian=log_jacobian, condition=self._width()
            ).parts["prior"]
        c = None if c is None else self._filled(x, c)
        if held_out_x is not None and held_out_c is not None:
            held_out_c = self._filled(held_out_x, held_out_c)
        self.prior_fit_: PriorFit = fit_prior(
            self.model_,
            fresh,
            x,
            held_out_x,
            seed=seed,
            c=c,
            held_out_c=held_out_c,
        )
        self.sentence_, self._optimizer_state, self._opponent = sentence, None, None
        return self

    def transform(self, X: Any, *, conditions: Any = None) -> _Floats:
        r"""Encode: the mean of :math:`q(z \mid x)`, ``(n, latent)``. The same bytes every time.

        Where the latents live in a curved space, it is the point there that stands for the posterior. A conditional
        model needs the rows' conditions, as columns of ``X`` or given beside it as to :meth:`fit`; one that learns
        labels takes the most probable where there is none.
        """
        return self._map(self._rows(X, conditions), lambda x, c: code_of(self.model_.encode(x, c)))

    def inverse_transform(self, Z: npt.ArrayLike, *, given: Given = None) -> npt.NDArray[np.float64]:
        r"""Decode: the mean of :math:`p(x \mid z)`, in the units of the data, ``(n, *event)``.

        ``given`` says under which condition, as for :meth:`sample`.
        """
        check_is_fitted(self, "model_")
        z = torch.from_numpy(check_latents(Z, self.model_.latent_shape)).to(self._torch_device())
        c = self._given(given, len(z), self.seed_)
        return self.schema_.inverse(
            map_chunks(len(z), lambda rows: self.model_.decode(z[rows], None if c is None else c[rows]).mean)
        )

    def reconstruct(self, X: Any, *, conditions: Any = None) -> npt.NDArray[np.float64]:
        """Encode and decode, in the units of the data, ``(n, *event)``; no noise. Conditions as for `transform`."""
        return self.schema_.inverse(self._map(self._rows(X, conditions), self.model_.reconstruct))

    def sample(
        self,
        n_samples: int = 1,
        *,
        given: Given = None,
        random_state: int | None = None,
        noise: bool = False,
    ) -> npt.NDArray[np.float64]:
        r"""Generate: :math:`z \sim p(z)`, then the mean of :math:`p(x \mid z)`, or with ``noise`` a draw from it.

        The same ``random_state`` gives the same bytes; None: new ones at every call. ``given`` says under which
        condition a conditional model generates: ``{"label": 3}`` or ``"label=3"``, with one value or ``n_samples`` of
        each; ``"data"`` draws conditions as the training rows had them.
        """
        blocks = self.sample_blocks(n_samples, given=given, random_state=random_state, noise=noise)
        return np.concatenate(list(blocks))

    def sample_blocks(
        self,
        n_samples: int,
        *,
        given: Given = None,
        random_state: int | None = None,
        noise: bool = False,
    ) -> Iterator[npt.NDArray[np.float64]]:
        """Give the rows of :meth:`sample` some thousand at a time, for more than memory holds.

        Until the last has been given torch's global generators are this method's: draw nothing from them in between.
        """
        check_is_fitted(self, "model_")
        if n_samples < 1:
            raise UsageError(f"n_samples={n_samples}: give a whole number of at least 1")
        seed = _new_seed() if random_state is None else random_state
        c = self._given(given, n_samples, seed)
        with seeded(seed):
            for rows in chunks(n_samples):
                part = None if c is None else c[rows]
                with torch.no_grad():
                    x = self.model_.sample(rows.stop - rows.start, part, noise=noise)
                yield self.schema_.inverse(x.cpu().numpy())

    def score_samples(self, X: Any, *, conditions: Any = None, samples: int = 100) -> npt.NDArray[np.float64]:
        r"""Estimate :math:`\log p(x)` of each row by importance sampling, in nats and the units of the data.

        All rows share the same fixed draws of noise: a row's score depends on nothing but the row (to float32's
        rounding), and the same rows give the same bytes every time. See
        :func:`vaekit.evaluation.log_likelihood`. Of a conditional model it is :math:`\log p(x \mid c)`;
        where a model that learns labels is given none, it is :math:`\log \sum_y p(y)\, p(x \mid y)`.
        """
        x, c = self._tensors(self._rows(X, conditions))
        with seeded(self.seed_ + 2):
            known = log_likelihood(self.model_, x, c=c, samples=samples, common_noise=True).values
        if c is None or "classifier" not in self.model_.parts or (labelled := (c != 0).any(1)).all():
            return known.numpy()
        found = marginal_log_likelihood(
            self.model_, x[~labelled], labels=c.shape[1], samples=samples, seed=self.seed_ + 2
        )
        known[~labelled.cpu()] = found
        return known.numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """Average :meth:`score_samples`: higher is better."""
        conditions = y if y is not None and list(read_names(self.condition)) == [LABELS] else None
        return float(self.score_samples(X, conditions=conditions).mean())

    def label_names(self) -> tuple[str, ...]:
        """Names of the labels that the model has learned, in the order of their probabilities.

        Raises
        ------
        UsageError
            If it has no classifier.
        """
        check_is_fitted(self, "model_")
        if "classifier" not in self.model_.parts:
            raise UsageError(
                f"objective {self.sentence_.objective.kind} learns no labels; fit with objective=m2 and a condition"
            )
        return self.schema_.conditions.conditions[0].categories  # type: ignore[union-attr, return-value]

    def predict_label_probabilities(self, X: Any) -> _Floats:
        r"""Give :math:`q(y \mid x)` of each row, ``(n, labels)``, in the order of :meth:`label_names`."""
        self.label_names()
        return self._map(self._rows(X), lambda x, c: self.model_.classify(x).probs)

    def predict_labels(self, X: Any) -> npt.NDArray[np.str_]:
        """Give the most probable label of each row, by name; labels that are there are not looked at."""
        names = np.array(self.label_names())
        return names[self.predict_label_probabilities(X).argmax(1)]

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

    def check_parameters(self) -> None:
        """Raise a :class:`~vaekit.errors.UsageError` for parameters that no data could make right."""
        if not isinstance(self.latent, (int, np.integer)) or self.latent < 1:
            raise UsageError(f"latent={self.latent!r}: give a whole number of at least 1")
        self._settings(rows=1)
        memory_limit(self.memory_limit)
        read_names(self.condition)
        self._torch_device()
        self._parse(self.likelihood if self.likelihood != "auto" else "gaussian")

    def evaluate(
        self,
        X: Any,
        *,
        conditions: Any = None,
        samples: int = 500,
        split: str = "all",
        train: Any = None,
        seed: int | None = None,
    ) -> Evaluation:
        """Evaluate on held-out data; see :func:`vaekit.evaluation.evaluate`.

        Parameters
        ----------
        X
            Held-out data.
        conditions
            As for :meth:`fit`.
        samples
            Importance samples an example.
        split
            What to call it.
        train
            The training data, for baselines; None, or data left in their file: no baselines.
        seed
            Of the noise; by default the estimator's.
        """
        x, c = self._tensors(self._rows(X, conditions))
        if c is not None and "classifier" in self.model_.parts and not (known := (c != 0).any(1)).all():
            if not known.any():
                raise UsageError(
                    "evaluate: every label is missing, and what is evaluated is log p(x|y); score_samples gives "
                    "log p(x)"
                )
            x, c, split = x[known], c[known], f"{split}, rows with a label"
        baselines = None if train is None else self._rows(train).values
        if isinstance(baselines, StoredRows):
            baselines = None
        return evaluate(
            self.model_,
            x,
            c=c,
            samples=samples,
            seed=self.seed_ if seed is None else seed,
            split=split,
            train=None if baselines is None else self._to_model(baselines),
            log_jacobian=self.schema_.log_jacobian,
        )

    def _settings(self, rows: int) -> TrainingSettings:
        return TrainingSettings.for_rows(
            rows,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=self.patience,
            schedule=self.schedule,
            optimizer=self.optimizer,
            clip=self.clip,
            averaging=self.averaging,
            output_bias=self.output_bias,
            compile=self.compile,
        )

    def _parse(self, likelihood: str) -> Sentence:
        network = own_network(self.network, self.encoder, self.decoder)
        return Sentence.parse(
            network=self.network if network is None else sentence_of(network),  # type: ignore[arg-type]
            posterior=self.posterior,
            prior=self.prior,
            likelihood=likelihood,
            objective=self.objective,
        )

    def _checkpoints(self, folder: str | Path | None, minutes: float, resume: bool) -> Checkpoints | None:
        """Where to keep the run, with what must be the same for it to go on."""
        if folder is None:
            if resume:
                raise UsageError("resume=True needs the folder of the run's checkpoints: checkpoint=PATH")
            return None
        identity = {"latent": str(self.latent), **self.sentence_.to_json()}
        return Checkpoints(folder=Path(folder), minutes=minutes, resume=resume, identity=identity)

    def _draw_seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _torch_device(self) -> torch.device:
        return choose_device(self.device)

    def _dataset(self, X: Any, conditions: Any = None, *, reset: bool) -> Dataset:
        names = list(read_names(self.condition))
        return read_input(self, X, None if reset else self.schema_, names=names, conditions=conditions)

    def _start(self, dataset: Dataset, seed: int) -> None:
        """Choose the sentence, fix the schema, and build the model."""
        if self.likelihood == "auto":
            chosen, self.likelihood_reason_ = choose_likelihood(dataset)
        elif self.likelihood == "mixed":
            chosen, self.likelihood_reason_ = choose_columns(dataset)
        else:
            chosen, self.likelihood_reason_ = self.likelihood, "asked for"
        self.sentence_ = self._parse(chosen)
        device = self._torch_device()
        self.schema_: Schema = fit_schema(dataset, self.sentence_.likelihood)
        if kinds := read_names(self.condition):
            self.schema_ = replace(
                self.schema_,
                conditions=fit_conditions(dataset, kinds, missing=learns_labels(self.sentence_)),
            )
        if learns_labels(self.sentence_):
            check_labels(self.sentence_, self.schema_.conditions)
        self.seed_, self.origin_ = seed, {}
        self._optimizer_state, self._opponent = None, None
        with seeded(seed):
            self.model_: VAE = build_vae(
                self.sentence_,
                self.schema_.model_event_shape,
                int(self.latent),
                log_jacobian=self.schema_.log_jacobian,
                network=own_network(self.network, self.encoder, self.decoder),
                condition=self._width(),
            ).to(device)

    def _rows(self, X: Any, conditions: Any = None) -> Dataset:
        check_is_fitted(self, "model_")
        return self._dataset(X, conditions, reset=False)

    def _width(self) -> int:
        return 0 if self.schema_.conditions is None else self.schema_.conditions.width

    def _tensors(self, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Rows in the coordinates of the model, and their conditions where it has any."""
        return self._to_model(dataset.values), self._condition(dataset)

    def _condition(self, dataset: Dataset) -> torch.Tensor | None:
        conditions = self.schema_.conditions
        if conditions is None:
            return None
        c = conditions.encode(dataset.conditions, what=dataset.source, rows=len(dataset))
        return torch.from_numpy(c).to(self._torch_device())

    def _filled(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Conditions with the most probable label where one is missing, of a model that has learned labels."""
        return fill_labels(self.model_, x, c) if "classifier" in self.model_.parts else c

    def _given(self, given: Given, n: int, seed: int) -> torch.Tensor | None:
        conditions = self.schema_.conditions
        if conditions is not None:
            return torch.from_numpy(conditions.given(given, n, seed)).to(self._torch_device())
        if given is not None:
            raise UsageError(f"given {given!r}: the model has no conditions; fit it with a condition")
        return None

    def _to_model(self, values: np.ndarray) -> torch.Tensor:
        return to_model(values, self.schema_, self.model_, self.sentence_).to(self._torch_device())

    def _map(
        self, dataset: Dataset, function: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
    ) -> _Floats:
        """Apply a function to chunks of rows given in the units of the data, and of their conditions."""
        values, c = dataset.values, self._condition(dataset)

        def apply(rows: slice) -> torch.Tensor:
            x = self._to_model(values[rows])
            return function(x, None if c is None else self._filled(x, c[rows]))

        return map_chunks(len(values), apply)

    def _reporter(
        self, on_epoch: Callable[[EpochMetrics, bool], None] | None
    ) -> Callable[[EpochMetrics, bool], None] | None:
        if not self.verbose:
            return on_epoch

        def report(metrics: EpochMetrics, is_best: bool) -> None:
            shown = metrics.train_bound if metrics.validation_bound is None else metrics.validation_bound
            mark = " *" if is_best else ""
            print(f"epoch {metrics.epoch}: bound {shown:.3f} nats{mark}", file=sys.stderr)
            if on_epoch is not None:
                on_epoch(metrics, is_best)

        return report


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


def _new_seed() -> int:
    return int(np.random.default_rng().integers(2**31 - 1))
