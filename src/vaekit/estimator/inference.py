"""Inference with a fitted model: encode, decode, generate and evaluate, in the units of the data."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vaekit.contracts import CodeSpace
from vaekit.data import Dataset
from vaekit.data.stored import StoredRows
from vaekit.errors import DataError, UsageError
from vaekit.estimator.likelihood_choice import column_facts
from vaekit.estimator.model_rows import FittedModel, Floats, Given, check_latents
from vaekit.evaluation import Evaluation, evaluate
from vaekit.evaluation.evidence import EvidenceMethod, SampleCount
from vaekit.runtime.randomness import Stream, seeded
from vaekit.runtime.rows import ROWS_AT_ONCE, chunks, map_chunks
from vaekit.runtime.surroundings import usual_surroundings
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.sentence.registry import PARTS, space_of
from vaekit.vae import code_of

__all__ = [
    "code_space",
    "decode",
    "decode_codes",
    "encode",
    "encode_to_codes",
    "evaluate_rows",
    "label_names",
    "label_probabilities",
    "latent_names",
    "reconstruct",
    "sample_blocks",
    "sample_latents",
    "sampled_conditions",
    "seed_for",
]


def encode(fitted: FittedModel, rows: Dataset) -> Floats:
    """Return the point that stands for the posterior of each row, ``(n, *latent)``."""
    fitted = fitted.taking(rows)
    return fitted.map(rows, lambda x, c: code_of(fitted.model.encode(x, c)))


def latent_names(fitted: FittedModel, input_features: Any, columns: int) -> npt.NDArray[np.object_]:
    """Return the name of each latent dimension, after checking that names of the data's columns are as many as those.

    Raises
    ------
    ValueError
        Where they are not, in scikit-learn's words.
    """
    if input_features is not None and len(input_features) != columns:
        raise DataError(
            f"input_features should have length equal to number of features ({columns}), got {len(input_features)}"
        )
    return np.array([f"z{i}" for i in range(prod(fitted.model.latent_shape))], dtype=object)


def decode(fitted: FittedModel, latents: Any, given: Given) -> npt.NDArray[np.float64]:
    r"""Return the mean of :math:`p(x \mid z)` for each latent point, ``(n, *event)``."""
    z = torch.from_numpy(check_latents(latents, fitted.model.latent_shape)).to(fitted.device)
    c = fitted.given(given, len(z), fitted.seed)
    with shared_threads(work_of(fitted.model.decoder, min(len(z), ROWS_AT_ONCE))):
        x = map_chunks(len(z), lambda part: fitted.model.decode(z[part], None if c is None else c[part]).mean)
    return fitted.schema.inverse(x)


def reconstruct(fitted: FittedModel, rows: Dataset) -> npt.NDArray[np.float64]:
    """Return the decoded code of each row, ``(n, *event)``; the model's value for missing cells too."""
    fitted = fitted.taking(rows)
    return fitted.schema.inverse(fitted.map(rows, fitted.model.reconstruct))


def sample_blocks(
    fitted: FittedModel, n: int, *, given: Given, random_state: int | None, noise: bool
) -> Iterator[npt.NDArray[np.float64]]:
    """Generate ``n`` rows, some thousand at a time; see ``VariationalAutoencoder.sample_blocks``."""
    seed = seed_for(n, random_state)
    c, stream = fitted.given(given, n, seed), Stream(seed)
    for part in chunks(n):
        work = work_of(fitted.model.decoder, part.stop - part.start)
        with usual_surroundings(), stream.drawing(), shared_threads(work), torch.no_grad():
            condition = None if c is None else c[part]
            x = fitted.model.sample(part.stop - part.start, condition, noise=noise)
        yield fitted.schema.inverse(x.cpu().numpy())


def sampled_conditions(
    fitted: FittedModel, n: int, *, given: Given, random_state: int | None
) -> dict[str, np.ndarray] | None:
    """Return the conditions of the rows that `sample_blocks` generates, by name; None where there are none."""
    c, conditions = fitted.given(given, n, seed_for(n, random_state)), fitted.schema.conditions
    return None if c is None or conditions is None else conditions.decode(c.cpu().numpy())


def sample_latents(
    fitted: FittedModel, n: int, *, given: Given, random_state: int | None
) -> npt.NDArray[np.float64]:
    """Draw ``n`` latent points from the prior, ``(n, *latent)``."""
    seed = seed_for(n, random_state)
    prior = fitted.model.prior(fitted.given(given, n, seed))
    with seeded(seed), torch.no_grad():
        z = prior.sample(torch.Size(() if prior.batch_shape else (n,)))
    return z.cpu().double().numpy()


def seed_for(n: int, random_state: int | None) -> int:
    """Return the seed of ``n`` draws: the one that was given, or a new one."""
    if n < 1:
        raise UsageError(f"n_samples={n}: give a whole number of at least 1")
    return int(np.random.default_rng().integers(2**31 - 1)) if random_state is None else random_state


def evaluate_rows(
    fitted: FittedModel,
    rows: Dataset,
    *,
    samples: SampleCount,
    split: str,
    train: Dataset | None,
    seed: int,
    method: EvidenceMethod = "importance",
    leave_out: bool = False,
    most_mended: int | None = None,
) -> Evaluation:
    """Evaluate held-out rows beside baselines; see ``VariationalAutoencoder.evaluate``."""
    fitted, schema = fitted.taking(rows, train), fitted.schema
    if leave_out:
        rows = fitted.with_probability(rows, what="the data" if split == "all" else f"the {split} rows")
    x, c = fitted.tensors(rows)
    if c is not None and fitted.has_classifier and not (known := (c != 0).any(1)).all():
        if not known.any():
            raise UsageError(
                "evaluate: every label is missing, and what is evaluated is log p(x|y); score_samples gives log p(x)"
            )
        x, c, split = x[known], c[known], f"{split}, rows with a label"
    if train is not None and isinstance(train.values, StoredRows):
        train = None
    return evaluate(
        fitted.model,
        x,
        c=c,
        samples=samples,
        seed=seed,
        split=split,
        method=method,
        most_mended=most_mended,
        train=None if train is None else fitted.to_model(train.values),
        log_jacobian=schema.column_log_jacobians if schema.kind == "table" else schema.log_jacobian,
        facts=column_facts(train.values, schema) if train is not None else None,
    )


def code_space(fitted: FittedModel) -> CodeSpace:
    """Return the space of codes of a model that has them."""
    codebook = fitted.model.posterior_part.codebook
    if codebook is None:
        fitting = ", ".join(kind for kind, part in PARTS["posterior"].items() if space_of(part) == "codes")
        raise UsageError(
            f"the latents of posterior {fitted.sentence.posterior.kind} are no codes, but numbers; models with codes "
            f"have one of: {fitting}"
        )
    return codebook


def encode_to_codes(fitted: FittedModel, rows: Dataset) -> npt.NDArray[np.int64]:
    """Return the most probable code of each position of each row, ``(n, positions)``."""
    code_space(fitted)
    fitted = fitted.taking(rows)
    return fitted.map(rows, lambda x, c: fitted.model.encode(x, c).codes)  # type: ignore[attr-defined, return-value]


def decode_codes(fitted: FittedModel, codes: Any, given: Given) -> npt.NDArray[np.float64]:
    """Decode codes ``(n, positions)``, in the units of the data."""
    space = code_space(fitted)
    read = np.asarray(codes)
    if read.ndim != 2 or read.shape[1] != space.positions:
        raise DataError(
            f"codes have shape {read.shape}, but this model decodes ('n', {space.positions}); give one row per "
            "latent point"
        )
    if not (np.isfinite(read) & (read >= 0) & (read < space.codes) & (read == np.floor(read))).all():
        raise DataError(f"the codes hold something else than whole numbers from 0 to {space.codes - 1}")
    indices = torch.from_numpy(read.astype(np.int64)).to(fitted.device)
    return decode(fitted, space.embed(indices).detach().cpu().numpy(), given)


def label_names(fitted: FittedModel) -> tuple[str, ...]:
    """Return the names of the labels that the model has learned."""
    conditions = fitted.schema.conditions
    if not fitted.has_classifier or conditions is None:
        raise UsageError(
            f"objective {fitted.sentence.objective.kind} learns no labels; fit with objective=m2 and a condition"
        )
    return conditions.conditions[0].categories or ()


def label_probabilities(fitted: FittedModel, rows: Dataset) -> Floats:
    r"""Return :math:`q(y \mid x)` of each row, ``(n, labels)``."""
    fitted = fitted.taking(rows)
    return fitted.map(rows, lambda x, c: fitted.model.classify(x).probs)
