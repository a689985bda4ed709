"""What an estimator is told before it sees data, kept as scikit-learn keeps it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_random_state

from vaekit.data.mapped import memory_limit
from vaekit.errors import UsageError
from vaekit.estimator.column_kinds import read_column_kinds
from vaekit.estimator.inputs import choose_device, read_names
from vaekit.networks import NetworkRecipe
from vaekit.networks.own import own_network, sentence_of
from vaekit.sentence import Sentence
from vaekit.training import Compilation, OutputBias, Precision, TrainingSettings
from vaekit.training.process_group import from_rank_zero

__all__ = ["Parameters"]


class Parameters(TransformerMixin, BaseEstimator):
    """The parameters of :class:`vaekit.VariationalAutoencoder`, which says what each is."""

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
        columns: Mapping[str, str] | None = None,
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
        precision: Precision = "float32",
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
        self.columns = columns
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
        self.precision: Precision = precision
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

    def check_parameters(self) -> None:
        """Raise a :class:`~vaekit.errors.UsageError` for parameters that no data could make right."""
        if not isinstance(self.latent, (int, np.integer)) or self.latent < 1:
            raise UsageError(f"latent={self.latent!r}: give a whole number of at least 1")
        self._settings(rows=1)
        memory_limit(self.memory_limit)
        read_names(self.condition)
        if read_column_kinds(self.columns) and self.likelihood not in ("auto", "mixed"):
            raise UsageError(
                f"columns={self.columns!r} with likelihood={self.likelihood!r}: kinds of single columns go with "
                "likelihood auto or mixed"
            )
        self._torch_device()
        self._parse(self.likelihood if self.likelihood != "auto" else "gaussian")

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
            precision=self.precision,
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

    def _draw_seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return from_rank_zero(lambda: int(check_random_state(self.random_state).randint(2**31 - 1)))

    def _torch_device(self) -> torch.device:
        return choose_device(self.device)
