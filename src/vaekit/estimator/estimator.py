"""The scikit-learn face: one estimator for every sentence of parts, whose methods call plain functions."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import numpy as np
import numpy.typing as npt
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

import vaekit.estimator.inference as inference
import vaekit.estimator.scoring as scoring
from vaekit.aggregate import PriorFit
from vaekit.artifact import Artifact, read_artifact, write_artifact
from vaekit.contracts import CodeSpace
from vaekit.data import Dataset, Schema, restore_table
from vaekit.data.condition_columns import LABELS
from vaekit.data.frame_types import is_frame
from vaekit.data.missing_values import read_codes
from vaekit.data.schema_check import Outside
from vaekit.errors import DataWarning, UsageError
from vaekit.estimator.filled_rows import fill_given
from vaekit.estimator.fitting import (
    Recipe,
    RunOptions,
    begin,
    draw_seed,
    replace_prior,
    train_model,
    train_more,
)
from vaekit.estimator.given_rows import (
    TakesHoles,
    asked_categories,
    hold_out,
    read_names,
    read_rows,
    select_columns,
)
from vaekit.estimator.model_of_rows import ModelOfRows
from vaekit.estimator.model_rows import FittedModel, Floats, Given
from vaekit.evaluation import Evaluation
from vaekit.evaluation.evidence import EvidenceMethod, SampleCount
from vaekit.language.front_door import at_front_door
from vaekit.language.settings import Compilation, OutputBias, Precision, TrainingSettings
from vaekit.networks import NetworkRecipe
from vaekit.networks.own_networks import own_network
from vaekit.runtime.device import choose_device
from vaekit.runtime.surroundings import in_usual_surroundings, usual_surroundings
from vaekit.sentence import Sentence
from vaekit.training import History, Progress
from vaekit.vae import VAE

__all__ = ["VariationalAutoencoder", "load"]

Rows = npt.NDArray[np.float64]


@in_usual_surroundings
class VariationalAutoencoder(TransformerMixin, TakesHoles):
    r"""A variational autoencoder for arrays, data frames and images.

    Fits :math:`p(x) = \int p(x \mid z)\, p(z)\, dz` by maximising a bound. Every part is a spec string (see
    :mod:`vaekit.sentence`), so that ``GridSearchCV`` and ``Pipeline`` work, or an object of one's own.

    Parameters
    ----------
    latent
        Number of latent dimensions.
    network
        Encoder and decoder: ``mlp:hidden=400``, ``convolutional:channels=32x64``, ...; ``auto``: ``convolutional`` for
        images from 8 x 8 pixels, and otherwise ``mlp:shortcut=true``; or an object of one's own with
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
    only, drop
        Names of columns to model alone, and to leave out: a list, or one text with commas. Numbers of rows, ids and
        text of very many values are left out by themselves, with a warning: name them to keep them.
    objective
        What to maximise: ``elbo``, ``elbo:beta=4``, ``elbo:beta=linear:0..1/10`` (a schedule over epochs),
        ``iwae:samples=50``, ``tc:beta=6``, ...; ``auto``: the ELBO; of images, with free bits that fall to zero
        over the first third of the epochs, so that latents are not given up before they are learned.
    condition
        Names of columns, a list of them or one text with commas, that the model is told rather than describes:
        :math:`p(x \mid c)`. ``labels`` are the labels of a data set. Columns of text or of few whole numbers are
        categorical, everything else is continuous, unless ``NAME:categorical`` or ``NAME:continuous`` says so. With the
        objective ``m2`` a label may be missing: NaN, None, empty, or -1 among whole numbers.
    epochs, batch_size, learning_rate, patience, schedule, optimizer, clip, averaging, output_bias, compile, precision
        See :class:`vaekit.training.TrainingSettings`; epochs and batch size that are None follow from the
        number of rows, a patience of ``auto`` from the epochs.
    device
        ``cpu``, ``cuda``, or ``auto``.
    memory_limit
        Memory for data, such as ``"2GB"``, a quarter of the machine's by default. An array mapped into memory
        (``numpy.load(path, mmap_mode="r")``) that needs more is left in its file, and read in windows as it is trained
        on: see :mod:`vaekit.data.mapped` and :mod:`vaekit.training.streamed`.
    missing_values
        Values of a table that stand for missing ones, beside NaN, None, empty text and ``?``: ``"unknown,-999"``, or a
        list. The model is one of the cells that are there; see :mod:`vaekit.likelihoods.observed_cells`.
    random_state
        One seed for initialisation, order and noise: the same seed gives the same bytes on the CPU. None: it is drawn
        from NumPy's global generator, as everywhere in scikit-learn.
    verbose
        Whether to print a line an epoch on standard error.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x = load_iris().data
    >>> vae = VariationalAutoencoder(latent=2, epochs=3, random_state=0).fit(x)
    >>> vae.transform(x).shape, vae.score_samples(x).shape
    ((150, 2), (150,))
    """

    model_: VAE  #: The model, with the weights of its best epoch; it takes scaled rows, as :meth:`to_module` explains.
    schema_: Schema  #: What it expects of data, scaling included.
    sentence_: Sentence  #: All five parts with all their options.
    history_: History  #: The training run.
    likelihood_reason_: str  #: Why the likelihood was chosen, or that it was asked for.
    settings_: TrainingSettings  #: How it was trained, everything filled in.
    seed_: int  #: The seed that was used.
    origin_: dict[str, Any]  #: Where the data came from, where the artifact it was loaded from says so.
    prior_fit_: PriorFit  #: How well a prior was fitted after training, where :meth:`fit_prior` was called.
    left_out_: tuple[str, ...] = ()  #: Columns of the training data that are no part of the model.
    n_features_in_: int
    _progress: Progress | None = None

    def __init__(
        self,
        latent: int = 10,
        *,
        network: str | NetworkRecipe = "auto",
        encoder: Any = None,
        decoder: Any = None,
        posterior: Any = "diagonal",
        prior: Any = None,
        likelihood: Any = "auto",
        columns: Mapping[str, str] | None = None,
        only: str | Sequence[str] | None = None,
        drop: str | Sequence[str] | None = None,
        objective: Any = "auto",
        condition: str | Sequence[str] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
        patience: int | Literal["auto"] | None = "auto",
        schedule: str = "cosine",
        optimizer: str = "adam",
        clip: float | Literal["auto"] | None = "auto",
        averaging: float | None = None,
        output_bias: OutputBias = "auto",
        compile: Compilation = "auto",
        precision: Precision = "float32",
        device: str = "auto",
        memory_limit: str | int | None = None,
        missing_values: str | float | Sequence[Any] | None = None,
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
        self.columns = columns
        self.only, self.drop = only, drop
        self.objective = objective
        self.condition = condition
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience: int | Literal["auto"] | None = patience
        self.schedule = schedule
        self.optimizer = optimizer
        self.clip: float | Literal["auto"] | None = clip
        self.averaging = averaging
        self.output_bias: OutputBias = output_bias
        self.compile: Compilation = compile
        self.precision: Precision = precision
        self.device = device
        self.memory_limit = memory_limit
        self.missing_values = missing_values
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that values may be missing, and that results are float32."""
        tags = super().__sklearn_tags__()
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def check_parameters(self) -> None:
        """Raise a :class:`~vaekit.errors.UsageError` for parameters that no data could make right."""
        self._recipe()

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        conditions: Any = None,
        validation: Any = None,
        validation_conditions: Any = None,
        **run: Unpack[RunOptions],
    ) -> Self:
        """Fit to data.

        Parameters
        ----------
        X
            Array, tensor, data frame or :class:`vaekit.data.Dataset` of ``(n, columns)`` or
            ``(n, channels, height, width)``; or a ``torch.utils.data.Dataset``, a ``DataLoader``, any iterable that can
            be iterated over again, or a function that gives an iterator: see :func:`vaekit.data.stream`.
        y
            The values of a condition called ``labels``, where ``conditions`` does not give them; else ignored.
        conditions
            Values of the conditions: a dictionary of one array each, a data frame, or one array where there is one
            condition. None: columns of ``X``, or the conditions of the data set.
        validation
            Held-out data for early stopping and the choice of the best weights. None: a tenth of ``X``, by
            a hash of row and seed, where patience is given and there are rows enough. False: none at all.
        validation_conditions
            As ``conditions``, of the held-out data.
        run
            How the training is watched, kept on disk and stopped: ``on_epoch``, ``on_step``, ``on_plan``, ``loggers``,
            ``checkpoint``, ``checkpoint_minutes``, ``resume`` and ``stop``, each told in
            :class:`vaekit.estimator.RunOptions`, and the fields of :class:`vaekit.training.Launch`.

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
        recipe, held_out = self._recipe(), None
        rows, seed = self._read(X, self._or_labels(conditions, y), None), draw_seed(self.random_state)
        if validation is None and self.patience is not None:
            rows, held_out = hold_out(rows, seed)
        self._begin(recipe, rows, seed)
        if validation is not None and validation is not False:
            held_out = self._read(validation, validation_conditions, self.schema_)
        settings = recipe.settings(rows, self.sentence_.network)
        self.settings_ = settings if held_out is not None else replace(settings, patience=None)
        train_model(
            self.fitted_model(),
            rows,
            held_out,
            self.settings_,
            self.history_,
            recipe=recipe,
            verbose=self.verbose,
            run=run,
        )
        return self

    def partial_fit(self, X: Any, y: Any = None, *, conditions: Any = None) -> Self:
        """Train one more epoch on the rows of ``X``; the first call fixes the schema, scaling included."""
        recipe, is_first = self._recipe(), "model_" not in vars(self)
        rows = self._read(X, self._or_labels(conditions, y), None if is_first else self.schema_)
        settings = replace(recipe.options.filled_in(len(rows)), epochs=1, patience=None, schedule="constant")
        if is_first:
            self._begin(recipe, rows, draw_seed(self.random_state))
            self.settings_ = settings
        progress = self._progress or Progress(self.history_)
        self._progress = train_more(self.fitted_model(), rows, progress, settings, verbose=self.verbose)
        return self

    def fit_prior(
        self,
        prior: Any,
        X: Any,
        *,
        conditions: Any = None,
        validation: Any = None,
        validation_conditions: Any = None,
        random_state: int | None = None,
    ) -> Self:
        r"""Replace the prior by one fitted to the aggregate posterior :math:`\frac 1 n \sum_i q(z \mid x_i)`.

        Encoder and decoder stay as they are; from then on the model with the new prior is sampled, scored and saved.
        See :mod:`vaekit.aggregate`; ``prior_fit_`` says how well it went.

        Parameters
        ----------
        prior
            A spec such as ``gmm:components=10`` or ``flow``; for codes, ``autoregressive``.
        X
            The training data, as a rule.
        conditions, validation_conditions
            As for :meth:`fit`.
        validation
            Held-out data to stop early by. None: a tenth of ``X``, the rows that :meth:`fit` holds out of it.
            False: none at all.
        random_state
            The seed of all noise; by default it follows from the estimator's. The same seed gives the same bytes on
            the CPU.

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
        rows, held_out = self.checked_rows(X, conditions), None
        if validation is None:
            rows, held_out = hold_out(rows, self.seed_)
        elif validation is not False:
            held_out = self.checked_rows(validation, validation_conditions)
        seed = self.seed_ + 3 if random_state is None else random_state
        self.sentence_, self.prior_fit_ = replace_prior(
            self.fitted_model(), prior, rows, held_out, recipe=self._recipe(), seed=seed
        )
        self._progress = None
        return self

    def transform(self, X: Any, *, conditions: Any = None) -> Floats:
        r"""Encode: the mean of :math:`q(z \mid x)`, ``(n, latent)``. The same bytes every time.

        In a curved space of latents it is the point there that stands for the posterior. A conditional model needs the
        rows' conditions, as columns of ``X`` or given beside it as to :meth:`fit`; a model that learns labels takes the
        most probable one where there is none.
        """
        return inference.encode(self.fitted_model(), self.checked_rows(X, conditions))

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the names of the columns of :meth:`transform`, ``z0``, ``z1``, ..., as ``vaekit encode`` writes them.

        With them ``set_output(transform="pandas")`` (or polars) makes :meth:`transform` return a data frame, in a
        ``Pipeline`` and a ``ColumnTransformer`` too. ``input_features``, the names of the columns of the data, play no
        part, but must be as many as the data have.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> x = load_iris(as_frame=True).data
        >>> vae = VariationalAutoencoder(latent=2, epochs=2, random_state=0).set_output(transform="pandas")
        >>> list(vae.fit_transform(x).columns)
        ['z0', 'z1']
        """
        check_is_fitted(self, "model_")
        return inference.latent_names(self.fitted_model(), input_features, self.n_features_in_)

    def to_module(self, *, missing: bool = False) -> ModelOfRows:
        """Return the model as a torch module of rows in the units of the data; see :class:`ModelOfRows`.

        ``model_`` itself takes rows in its own, scaled units, as ``schema_.transform`` gives them. With ``missing``,
        NaN is a missing cell, also where training had none; a UsageError where the likelihood cannot do that.
        """
        fitted = self.fitted_model().taking_missing() if missing else self.fitted_model()
        return ModelOfRows(fitted.model, fitted.schema)

    def inverse_transform(
        self, Z: npt.ArrayLike, *, given: Given = None, as_frame: bool | None = None
    ) -> Any:
        r"""Decode: the mean of :math:`p(x \mid z)`, in the units of the data, ``(n, *event)``.

        ``given`` is the condition, and ``as_frame`` says whether rows are a data frame, as for :meth:`sample`.
        """
        return self._in_types(inference.decode(self.fitted_model(), Z, given), as_frame)

    def reconstruct(self, X: Any, *, conditions: Any = None, as_frame: bool | None = None) -> Any:
        """Encode and decode, in the units of the data, ``(n, *event)``; no noise. Conditions as for `transform`.

        ``as_frame`` says whether rows are a data frame, as for :meth:`sample`; of a data frame they are one by default.
        Cells that are missing in ``X`` get a value as all others do.
        """
        values = inference.reconstruct(self.fitted_model(), self.checked_rows(X, conditions))
        index = X.index if is_frame(X) else None
        return self._in_types(values, is_frame(X) or None if as_frame is None else as_frame, index)

    def impute(
        self,
        X: Any,
        *,
        draws: int | None = None,
        conditions: Any = None,
        samples: int = 500,
        random_state: int | None = None,
    ) -> Any:
        r"""Fill missing cells (NaN; of images, pixels) by their mean given the row's others, or the likeliest category.

        By importance resampling of :math:`z` given the observed cells (:mod:`vaekit.evaluation.conditional_cells`),
        ``samples`` a row. With ``draws``, a list of as many draws: analyse each, and :func:`vaekit.pool`. A data
        frame stays one, with its types, and observed cells stay as they are. The same ``random_state`` gives the same
        bytes; None: it follows from the estimator's. Conditions as for :meth:`transform`.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> x = load_iris().data
        >>> vae = VariationalAutoencoder(latent=2, epochs=3, random_state=0).fit(x)
        >>> x[0, 1:3] = np.nan
        >>> vae.impute(x).shape, bool(np.isfinite(vae.impute(x)).all()), len(vae.impute(x, draws=5))
        ((150, 4), True, 5)
        """
        return fill_given(
            self.fitted_model(),
            X,
            lambda given: self.checked_rows(given, conditions),
            draws=draws,
            samples=samples,
            seed=self.seed_ + 4 if random_state is None else random_state,
        )

    def sample(
        self,
        n_samples: int = 1,
        *,
        given: Given = None,
        random_state: int | None = None,
        noise: bool = False,
        as_frame: bool | None = None,
    ) -> Any:
        r"""Generate: :math:`z \sim p(z)`, then the mean of :math:`p(x \mid z)`, or with ``noise`` a draw from it.

        The same ``random_state`` gives the same bytes; None: new ones at every call. ``given`` is the condition under
        which a conditional model generates: ``{"label": 3}`` or ``"label=3"``, with one value or ``n_samples`` of
        each; ``"data"`` draws conditions as the training rows had them.

        Returns an array ``(n, *event)`` of float64, or with ``as_frame`` a data frame in the types of the training
        data, conditions included. By default the rows are one where the model was fitted to one, with its columns in
        their order.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"n": [1, 2, 3, 4], "kind": ["a", "b", "a", "b"]})
        >>> vae = VariationalAutoencoder(1, epochs=1, random_state=0).fit(frame)
        >>> vae.sample(3, random_state=0).dtypes.equals(frame.dtypes)
        True
        """
        seed = inference.seed_for(n_samples, random_state)
        blocks = self.sample_blocks(n_samples, given=given, random_state=seed, noise=noise)
        values = np.concatenate(list(blocks))
        told = inference.sampled_conditions(self.fitted_model(), n_samples, given=given, random_state=seed)
        return self._in_types(values, as_frame, conditions=told)

    def sample_blocks(
        self, n_samples: int, *, given: Given = None, random_state: int | None = None, noise: bool = False
    ) -> Iterator[Rows]:
        """Give the rows of :meth:`sample` some thousand at a time, for more than memory holds."""
        return inference.sample_blocks(
            self.fitted_model(), n_samples, given=given, random_state=random_state, noise=noise
        )

    def sample_conditions(
        self, n_samples: int = 1, *, given: Given = None, random_state: int | None = None
    ) -> dict[str, np.ndarray] | None:
        """Return the conditions of the rows of :meth:`sample`, an array for each name; None where there are none."""
        return inference.sampled_conditions(
            self.fitted_model(), n_samples, given=given, random_state=random_state
        )

    def sample_latents(
        self, n_samples: int = 1, *, given: Given = None, random_state: int | None = None
    ) -> Rows:
        r"""Draw :math:`z \sim p(z)`, ``(n, *latent)``, the points that :meth:`sample` decodes. Arguments as there."""
        return inference.sample_latents(
            self.fitted_model(), n_samples, given=given, random_state=random_state
        )

    def score_samples(self, X: Any, *, conditions: Any = None, samples: int = 100) -> Rows:
        r"""Estimate :math:`\log p(x)` of each row by importance sampling, in nats and the units of the data.

        All rows share the same fixed draws of noise: a row's score depends on nothing but the row (to float32's
        rounding), and the same rows give the same bytes every time. See
        :func:`vaekit.evaluation.log_likelihood`. Of a conditional model it is :math:`\log p(x \mid c)`;
        for a row without a label, of a model that learns labels, it is :math:`\log \sum_y p(y)\, p(x \mid y)`; of a
        row with missing cells it is that of the others, and 0 where all are missing.

        A row with a value that the model gives no probability (a 3 among zeros and ones, a category that training did
        not have, another value in a column that was constant) scores minus infinity, and a
        :class:`~vaekit.errors.DataWarning` names the first of them.
        """
        scores = self.log_likelihood(X, conditions=conditions, samples=samples)
        if (note := scoring.ScoreTally().add(scores).outside_note("the data")) is not None:
            warnings.warn(note, DataWarning, stacklevel=2)
        return scores.log_likelihood

    def log_likelihood(self, X: Any, *, conditions: Any = None, samples: int = 100) -> scoring.RowScores:
        """Return all that is known of each row's score: the numbers of :meth:`score_samples` and how far to trust them.

        Arguments as there.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> x = load_iris().data
        >>> vae = VariationalAutoencoder(latent=2, epochs=3, random_state=0).fit(x)
        >>> found = vae.log_likelihood(x)
        >>> found.log_likelihood.shape, found.standard_error.shape, found.reliable.dtype
        ((150,), (150,), dtype('bool'))
        """
        rows = self.checked_rows(X, conditions, outside="keep")
        return scoring.score_rows(self.fitted_model(), rows, samples)

    def score(self, X: Any, y: Any = None) -> float:
        """Average the log-likelihood of rows by 100 importance samples: higher is better.

        As in :meth:`score_samples`, but a column that was constant in training plays no part: in one of the folds of a
        cross-validation, a rare value may be missing.
        """
        rows = self.checked_rows(X, self._or_labels(None, y), outside="keep")
        scored = scoring.score_rows(self.fitted_model(), rows, 100, constants=False)
        return float(scored.log_likelihood.mean())

    def evaluate(
        self,
        X: Any,
        *,
        conditions: Any = None,
        samples: SampleCount = 500,
        split: str = "all",
        train: Any = None,
        seed: int | None = None,
        method: EvidenceMethod = "importance",
        outside: Literal["refuse", "leave out"] = "refuse",
    ) -> Evaluation:
        """Evaluate on held-out data; see :func:`vaekit.evaluation.evaluate`.

        ``samples`` are importance samples an example (``"auto"``: as many as each needs), ``split`` is the name of the
        data in the result, and ``train`` are the training data, for baselines: there are none for None, and for data
        left in their file. ``seed``, of the noise, is the estimator's by default. ``method`` is ``importance``,
        ``annealed`` or ``exact``: see :mod:`vaekit.evaluation.evidence`. Rows with a value that has no probability are
        refused, or left out with a :class:`~vaekit.errors.DataWarning`. Conditions as for :meth:`fit`.
        """
        return inference.evaluate_rows(
            self.fitted_model(),
            self.checked_rows(X, conditions),
            samples=samples,
            split=split,
            train=None if train is None else self.checked_rows(train),
            seed=self.seed_ if seed is None else seed,
            method=method,
            leave_out=outside == "leave out",
        )

    def fitted_model(self) -> FittedModel:
        """Return the model with all that brings rows to it, for jobs that need its densities and latents themselves."""
        check_is_fitted(self, "model_")
        return FittedModel(self.model_, self.sentence_, self.schema_, self.seed_, choose_device(self.device))

    def checked_rows(self, X: Any, conditions: Any = None, *, outside: Outside = "refuse") -> Dataset:
        """Return rows checked against the schema; values outside it are refused or kept; conditions as for `fit`."""
        check_is_fitted(self, "model_")
        return self._read(X, conditions, self.schema_, outside)

    def explore(self, X: Any = None, y: Any = None, *, conditions: Any = None) -> Any:
        """Return a page to move in the latent space, a :class:`vaekit.ExplorationPage`: a notebook shows it.

        ``X`` are the rows on the map, coloured by ``y`` where it is given; without them draws from the prior are shown.
        Conditions as for :meth:`fit`. ``vaekit explore`` shows the same page, and decodes any point of it.
        """
        check_is_fitted(self, "model_")
        rows = None if X is None else self.checked_rows(X, conditions)
        if rows is not None and y is not None:
            rows = replace(rows, labels=np.asarray(y))
        return at_front_door("ExplorationPage").of(self, rows)

    def transform_to_codes(self, X: Any, *, conditions: Any = None) -> npt.NDArray[np.int64]:
        """Encode to codes: the most probable of each position, from 0, ``(n, positions)``; level after level.

        Conditions as for :meth:`transform`. Raises a :class:`~vaekit.errors.UsageError` if the latents are no codes.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> x = load_iris().data
        >>> vae = VariationalAutoencoder(3, posterior="quantized:codes=8", epochs=2, random_state=0).fit(x)
        >>> codes = vae.transform_to_codes(x)
        >>> codes.shape, codes.dtype, bool((codes < 8).all())
        ((150, 3), dtype('int64'), True)
        """
        self.code_space()
        return inference.encode_to_codes(self.fitted_model(), self.checked_rows(X, conditions))

    def inverse_transform_codes(
        self, codes: Any, *, given: Given = None, as_frame: bool | None = None
    ) -> Any:
        r"""Decode codes ``(n, positions)``: the mean of :math:`p(x \mid z)`, in the units of the data.

        ``given`` and ``as_frame`` are as for :meth:`sample`. Raises a :class:`~vaekit.errors.DataError` for another
        number of positions, and for numbers that are no codes.
        """
        return self._in_types(inference.decode_codes(self.fitted_model(), codes, given), as_frame)

    def code_space(self) -> CodeSpace:
        """Return the space of codes: how many positions there are, how many codes for each, and their latents.

        Raises a :class:`~vaekit.errors.UsageError` if the model's latents are no codes.
        """
        return inference.code_space(self.fitted_model())

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the labels that the model has learned, in the order of their probabilities.

        Raises a :class:`~vaekit.errors.UsageError` if it has learned none.
        """
        return inference.label_names(self.fitted_model())

    def predict_label_probabilities(self, X: Any) -> Floats:
        r"""Return :math:`q(y \mid x)` of each row, ``(n, labels)``, in the order of :meth:`label_names`."""
        self.label_names()
        return inference.label_probabilities(self.fitted_model(), self.checked_rows(X))

    def predict_labels(self, X: Any) -> npt.NDArray[np.str_]:
        """Return the most probable label of each row, by name; labels that are there are not looked at."""
        names = np.array(self.label_names())
        return names[self.predict_label_probabilities(X).argmax(1)]

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the portable artifact, a folder without pickle; see :mod:`vaekit.artifact`."""
        write_artifact(Path(path), self.to_artifact(), force=force)

    def to_artifact(self, data: dict[str, Any] | None = None) -> Artifact:
        """Return everything that the artifact holds; ``data`` says where the data came from."""
        check_is_fitted(self, "model_")
        return Artifact(
            model=self.model_,
            sentence=self.sentence_,
            latent=self.latent,
            schema=self.schema_,
            settings=self.settings_,
            seed=self.seed_,
            history=self.history_,
            data=(self.origin_ if data is None else data)
            | {"likelihood_reason": self.likelihood_reason_, "left_out": list(self.left_out_)},
        )

    @classmethod
    def from_artifact(
        cls, artifact: Artifact, *, device: str = "auto", network: NetworkRecipe | None = None
    ) -> "VariationalAutoencoder":
        """Return the fitted estimator of an artifact; ``network`` is the object that it was read with, if any."""
        told = artifact.sentence.to_json()
        estimator = cls(
            artifact.latent,
            **{**told, "network": told["network"] if network is None else network},
            **asdict(artifact.settings),
            condition=_names_of(artifact.schema),
            missing_values=artifact.schema.missing_values or None,
            device=device,
            random_state=artifact.seed,
        )
        estimator.model_ = artifact.model.to(choose_device(device))
        estimator.schema_, estimator.sentence_ = artifact.schema, artifact.sentence
        estimator.settings_, estimator.history_ = artifact.settings, artifact.history
        estimator.seed_, estimator.origin_ = artifact.seed, artifact.data
        estimator.likelihood_reason_ = artifact.data.get("likelihood_reason", "unknown")
        estimator.left_out_ = tuple(artifact.data.get("left_out", ()))
        estimator.n_features_in_ = prod(artifact.schema.event_shape)
        return estimator

    def _recipe(self) -> Recipe:
        return Recipe.of(self.get_params(deep=False))

    def _begin(self, recipe: Recipe, rows: Dataset, seed: int) -> None:
        """Build the model, and keep it with all that is known of it before it is trained."""
        fitted, self.likelihood_reason_ = begin(recipe, rows, seed)
        self.model_, self.schema_, self.sentence_ = fitted.model, fitted.schema, fitted.sentence
        self.seed_, self.history_, self.origin_, self._progress = seed, History(), {}, None
        self.left_out_ = rows.left_out

    def _in_types(
        self,
        values: Rows,
        as_frame: bool | None,
        index: Any = None,
        conditions: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> Any:
        """Return rows as they are, or as a data frame: by default where the model was fitted to one."""
        if not (self.schema_.frame is not None if as_frame is None else as_frame):
            return values
        if self.schema_.kind != "table":
            raise UsageError("as_frame=True: the model makes images, not rows of a table; leave it out")
        table = restore_table(self.schema_, values, conditions)
        return table if index is None else table.set_axis(index)

    def _read(self, X: Any, conditions: Any, schema: Schema | None, outside: Outside = "refuse") -> Dataset:
        codes = read_codes(self.missing_values) if schema is None else schema.missing_values
        rows = read_rows(
            self,
            X,
            schema,
            categorical=asked_categories(self.columns),
            names=list(read_names(self.condition)),
            conditions=conditions,
            memory_limit=self.memory_limit,
            missing_values=codes,
            outside=outside,
            left_out=() if schema is None else self.left_out_,
        )
        if schema is not None:
            return rows
        return select_columns(rows, only=self.only, drop=self.drop, keep=tuple(self.columns or ()))

    def _or_labels(self, conditions: Any, y: Any) -> Any:
        """Return the conditions, or scikit-learn's ``y`` where labels are the only condition and are not given."""
        return y if conditions is None and list(read_names(self.condition)) == [LABELS] else conditions


@usual_surroundings()
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
        The networks that were given to the estimator, where they were one's own: the artifact holds their weights and
        not their code.

    Raises
    ------
    UsageError
        If networks of one's own are missing, or given where there are none.
    ArtifactError
        If it is missing, damaged, or from a newer version of vaekit.
    """
    own = own_network(network, encoder, decoder)
    artifact = read_artifact(Path(path), network=own)
    return VariationalAutoencoder.from_artifact(artifact, device=device, network=own)


def _names_of(schema: Schema) -> list[str] | None:
    """Return the conditions of a schema as the parameter ``condition`` writes them."""
    if schema.conditions is None:
        return None
    kinds = {True: "continuous", False: "categorical"}
    return [f"{c.name}:{kinds[c.categories is None]}" for c in schema.conditions.conditions]
