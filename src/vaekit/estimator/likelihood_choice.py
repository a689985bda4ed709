"""The likelihood of the data, where none is asked for: chosen by looking at them, for each column of a mixed table.

And what follows from a likelihood, chosen or not: the schema of the data, with their scaling.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from vaekit.data import Dataset, Schema
from vaekit.data.missing_values import filled_in_turn
from vaekit.data.stored import StoredRows, extremes, value_blocks
from vaekit.errors import UsageError
from vaekit.estimator.family_choice import MOST_COLUMNS, Family, histogram_kind, table_families
from vaekit.estimator.image_likelihood import choose_for_images
from vaekit.language.grammar import did_you_mean, there_are
from vaekit.likelihoods import COLUMN_KINDS, is_continuous
from vaekit.likelihoods.histogram_cells import ColumnFacts, facts_of
from vaekit.likelihoods.support import LARGEST_COUNT
from vaekit.sentence import Spec
from vaekit.vae import VAE

__all__ = [
    "Choice",
    "choose",
    "choose_columns",
    "choose_likelihood",
    "column_facts",
    "fit_schema",
    "learn_rows",
    "read_column_kinds",
]

_LOOK_AT = 2_000_000  # numbers; more would not change the answer
_ROWS_TO_COMPARE_BY = 30
_TOLD = 6  # columns whose gains are told


class Choice(NamedTuple):
    """A likelihood, as a spec or an object, and the reason for it."""

    spec: Any
    reason: str


def choose(dataset: Dataset, likelihood: Any, columns: Mapping[str, str], *, levels: bool = True) -> Choice:
    """Return the likelihood that was asked for; ``auto`` and ``mixed`` are chosen by looking at the data.

    Of images ``levels`` says whether probabilities of levels may be chosen.

    Raises
    ------
    UsageError
        For kinds of single columns where the data are no table.
    """
    if columns:
        if dataset.kind != "table":
            raise UsageError(
                f"columns={dict(columns)}: kinds of column are for tables, and the data are {dataset.kind}; leave "
                "them out"
            )
        return choose_columns(dataset, columns)
    if likelihood == "auto":
        return choose_likelihood(dataset, levels=levels)
    return choose_columns(dataset) if likelihood == "mixed" else Choice(likelihood, "asked for")


def choose_likelihood(dataset: Dataset, *, levels: bool = True) -> Choice:
    """Choose a likelihood that fits the data, and give the reason in a sentence.

    Examples
    --------
    >>> from vaekit.data import from_object
    >>> choose_likelihood(from_object([[0, 1], [1, 1], [1, 0]]))
    Choice(spec='bernoulli', reason='every value is 0 or 1')
    """
    dataset = _some_rows(dataset)
    if _has_columns_of_several_types(dataset):
        return choose_columns(dataset)
    values = dataset.values
    if values.size > _LOOK_AT:
        values = values[:: -(-values.size // _LOOK_AT)]
    lowest, highest = float(values.min()), float(values.max())
    if lowest >= 0 and highest <= 1 and np.isin(values, (0, 1)).all():
        return Choice("bernoulli", "every value is 0 or 1")
    if dataset.kind == "images":
        return Choice(*choose_for_images(values, levels=levels))
    if _are_overdispersed_counts(values):
        zeros = float(np.mean(values == 0))
        return Choice(
            "negative-binomial",
            f"a table of counts from 0 to {highest:.4g}: whole numbers, {zeros:.0%} of them zero, in most columns "
            "with a variance well above the mean and a long tail",
        )
    if len(dataset) >= _ROWS_TO_COMPARE_BY and dataset.event_shape[0] <= MOST_COLUMNS:
        by_column = choose_columns(dataset)
        if set(by_column.spec.removeprefix("mixed:columns=").split("x")) != {"gaussian"}:
            return by_column
    return Choice("gaussian", f"a table of numbers from {lowest:.4g} to {highest:.4g}: real numbers")


def choose_columns(dataset: Dataset, asked: Mapping[str, str] | None = None) -> Choice:
    """Choose a likelihood for each column of a table that varies, and give the reason.

    Text is categories, whole numbers from 0 below 32 are categories unless counts describe them better, and each
    other column gets the family that describes rows best to which it was not fitted: see
    :mod:`vaekit.estimator.family_choice`. A kind that is ``asked`` for by the name of its column replaces the chosen
    one.

    Raises
    ------
    UsageError
        For a kind asked of a column that is not there, does not vary, or cannot have it.

    Examples
    --------
    >>> import pandas as pd
    >>> from vaekit.data import from_object
    >>> table = pd.DataFrame({"size": [0.1, 2.5, 3.0], "kind": ["a", "b", "c"], "on": [0, 1, 1]})
    >>> choose_columns(from_object(table)).spec
    'mixed:columns=gaussianxcategorical3xbernoulli'
    >>> choose_columns(from_object(table), {"size": "student-t", "on": "categorical"}).spec
    'mixed:columns=student-txcategorical3xcategorical2'
    """
    asked = asked or {}
    dataset = _some_rows(dataset)
    names = dataset.columns or ()
    texts = dataset.categories or (None,) * len(names)
    varying = [j for j in range(len(names)) if dataset.values[:, j].min() != dataset.values[:, j].max()]
    chosen = table_families(dataset.values[:, varying], [texts[j] for j in varying])
    found = {names[j]: family for j, family in zip(varying, chosen, strict=True)}
    kinds = {name: family.kind for name, family in found.items()}
    _check_column_names(asked, names, kinds)
    for name, kind in asked.items():
        j = names.index(name)
        kinds[name] = _complete_kind(name, kind, dataset.values[:, j], texts[j])
    families = [re.sub(r"\d+$", "", kind) for kind in kinds.values()]
    told = ", ".join(f"{families.count(family)} {family}" for family in dict.fromkeys(families))
    if not kinds:
        return Choice("gaussian", "no column varies")
    mixed = len(set(families)) > 1
    reason = (
        f"a table whose columns are of different types: {told}" if mixed else f"a table of {told} columns"
    )
    reason += _gains({name: family for name, family in found.items() if name not in asked})
    if asked:
        reason += f"; {', '.join(asked)} as asked for"
    return Choice(f"mixed:columns={'x'.join(kinds.values())}", reason)


def _gains(found: Mapping[str, Family]) -> str:
    """Say by how many nats families were chosen, the largest gains first."""
    told = [(family.gain, name, family) for name, family in found.items() if family.gain and family.gain > 0]
    told.sort(key=lambda item: -item[0])
    lines = [
        f"{name} {re.sub(r'[0-9]+$', '', family.kind)} +{gain:.2g} over {family.rival}"
        for gain, name, family in told[:_TOLD]
    ]
    more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return f"; by held-out nats a row: {', '.join(lines)}{more}" if lines else ""


def read_column_kinds(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Read the kinds of column that are asked for by name.

    Raises
    ------
    UsageError
        For an unknown kind, or anything but a mapping of names to kinds.

    Examples
    --------
    >>> read_column_kinds({"age": "poisson"})
    {'age': 'poisson'}
    >>> read_column_kinds({"age": "poison"})
    Traceback (most recent call last):
    vaekit.errors.UsageError: column age: unknown kind 'poison'; did you mean 'poisson'? There are: gaussian, laplace,
    student-t, log-normal, asinh-normal, bernoulli, poisson, negative-binomial, zero-inflated-negative-binomial,
    histogram, categorical
    """
    if columns is None:
        return {}
    given: Any = columns  # a user's
    if not isinstance(given, Mapping):
        raise UsageError(
            f"columns={columns!r}: expected kinds by name of column, such as {{'age': 'negative-binomial'}}"
        )
    for name, kind in columns.items():
        if kind not in COLUMN_KINDS:
            raise UsageError(f"column {name}: unknown kind {kind!r}{there_are(str(kind), COLUMN_KINDS)}")
    return {str(name): kind for name, kind in columns.items()}


def _check_column_names(asked: Mapping[str, str], names: tuple[str, ...], varying: Mapping[str, str]) -> None:
    """Refuse the kind of a column that is not there, or that never changes; ``varying`` holds the chosen kinds."""
    there = ", ".join(f"{name} ({kind})" for name, kind in varying.items())
    for name, kind in asked.items():
        if name not in names:
            raise UsageError(
                f"column {name}={kind}: there is no such column{did_you_mean(name, names)}. Columns, and the kinds "
                f"chosen for them: {there}"
            )
        if name not in varying:
            raise UsageError(
                f"column {name}={kind}: it has the same value in all rows, and is left out of the model; leave its "
                f"kind out. Columns that vary, and the kinds chosen for them: {there}"
            )


def _complete_kind(name: str, kind: str, values: np.ndarray, categories: tuple[str, ...] | None) -> str:
    """Complete a kind that is asked for by its number of categories, and refuse one that the column cannot have."""
    if categories is not None:
        if kind == "categorical":
            return f"categorical{len(categories)}"
        if kind == "bernoulli" and len(categories) == 2:
            return kind
        raise UsageError(
            f"column {name}={kind}: it holds text of {len(categories)} values, which is categorical; for numbers, "
            "change the file"
        )
    if kind == "histogram":
        return histogram_kind(values)
    if kind != "categorical":
        return kind
    if values.min() < 0 or not (values == np.floor(values)).all():
        raise UsageError(
            f"column {name}=categorical: categories are whole numbers from 0, and this column runs from "
            f"{values.min():.6g} to {values.max():.6g}; write the categories as text, or give another kind"
        )
    return f"categorical{int(values.max()) + 1}"


def fit_schema(
    dataset: Dataset, likelihood: Spec, *, flat: bool = False, categorical: Collection[str] = ()
) -> Schema:
    """Learn the schema of the training rows for a likelihood: scaling, support, and which columns are real numbers.

    Parameters
    ----------
    dataset
        The training rows.
    likelihood
        Its spec; one for each column (``mixed``) counts the columns that vary.
    flat
        Whether the networks take images as rows of numbers, so that pixels can be left out.
    categorical
        Columns of text that are categories, however many there are.

    Raises
    ------
    DataError
        If the likelihood does not accept the data.
    UsageError
        If columns hold text, and the likelihood is not one for each column.

    Examples
    --------
    >>> from vaekit.data import from_object
    >>> from vaekit.sentence import parse
    >>> data = from_object([[0.5, 1.0], [2.5, 0.0]])
    >>> fit_schema(data, parse("likelihood", "mixed:columns=gaussianxbernoulli")).scale
    (1.0, 1.0)
    """
    if likelihood.part.traits.scaling == "mixed":
        varying = 0
        if dataset.kind == "table":
            lowest, highest = extremes(dataset.values, axis=0)
            varying = int((lowest < highest).sum())  # NaN, where there is no value at all, is not
        built = likelihood.build(event_shape=(varying or len(likelihood.options["columns"]),))
        continuous = [is_continuous(kind) for kind in built.columns]
        return Schema.fit(dataset, scaling="mixed", continuous=continuous, categorical=categorical)
    if dataset.categories is not None:
        names = [name for name, text in zip(dataset.columns or (), dataset.categories, strict=True) if text]
        told = f"{'columns' if len(names) > 1 else 'column'} {', '.join(names)[:200]} with text"
        raise UsageError(
            f"likelihood {likelihood.kind}: {told}: categories need likelihood auto or mixed; or take out a column "
            "that is not to be modelled"
        )
    part = likelihood.build(event_shape=dataset.event_shape)
    scaling, levels = (
        part.traits.scaling,
        int(part.support.upper) + 1 if part.traits.measure == "levels" else 256,
    )
    if scaling == "levels":
        schema = Schema.fit(dataset, scaling=scaling, levels=levels)
        step, blocks = schema.scale[0], value_blocks(dataset.values)
        for block in blocks:
            part.support.check(block if step == 1 else schema.transform(block), likelihood.kind)
        return schema
    if not (scaling == "unit" and dataset.values.dtype == np.uint8):
        for block in value_blocks(dataset.values):
            part.support.check(block, likelihood.kind)
    return Schema.fit(dataset, scaling=scaling, drop_pixels=flat and part.traits.measure == "density")


def learn_rows(model: VAE, dataset: Dataset, schema: Schema) -> None:
    """Let the likelihood of a new model see training rows, where it wants to: for the cells of histograms."""
    part = model.likelihood_part
    if part.traits.learns_rows:
        rows = _some_rows(dataset).values
        part.learn_rows(schema.transform(rows), column_facts(rows, schema) or [])


def column_facts(rows: np.ndarray, schema: Schema) -> list[ColumnFacts] | None:
    """Return the resolution and the bounds of each column that the model sees, in its coordinates; None for images."""
    if schema.kind == "images":
        return None
    return [
        facts_of(
            rows[:, j],
            whole=schema.columns[j].integer or schema.columns[j].stored_as == "date",
            decimals=schema.columns[j].decimals,
            offset=schema.offset[j],
            scale=schema.scale[j],
            name=schema.columns[j].name,
        )
        for j in np.flatnonzero(schema.kept)
    ]


def _some_rows(dataset: Dataset) -> Dataset:
    """Return as many rows as are looked at, where they are left in their file; without holes."""
    values = dataset.values
    if isinstance(values, StoredRows):
        values = values[:: -(-values.size // _LOOK_AT)]
    if dataset.kind == "table":
        values = filled_in_turn(values)
    return dataset if values is dataset.values else replace(dataset, values=values)


def _has_columns_of_several_types(dataset: Dataset) -> bool:
    """Whether a table has columns of text, or of zeros and ones beside columns of fractions."""
    if dataset.kind != "table":
        return False
    if dataset.categories is not None:
        return True
    values = dataset.values
    varying = values[:, values.min(0) != values.max(0)]
    binary = ((varying == 0) | (varying == 1)).all(0)
    return bool(binary.any() and (varying != np.floor(varying)).any())


def _are_overdispersed_counts(values: np.ndarray) -> bool:
    """Whether a table holds counts beyond doubt: codes, ages, years and marks are whole numbers too."""
    if values.min() < 0 or values.max() > LARGEST_COUNT or not (values == np.floor(values)).all():
        return False
    mean, variance, highest = values.mean(0), values.var(0), values.max(0)
    varying = variance > 0
    if not varying.any() or np.mean(values[:, varying] == 0) < 0.1:
        return False
    mean, variance, highest = mean[varying], variance[varying], highest[varying]
    overdispersed = float(np.median(variance / mean)) > 1.5
    return overdispersed and float(np.median(highest / mean)) > 5 and float(np.median(highest)) > 5
