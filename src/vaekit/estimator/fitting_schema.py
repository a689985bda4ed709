"""The schema that a likelihood wants of its data: scaling, support, and which columns are real numbers."""

import numpy as np

from vaekit.data import Dataset, Schema
from vaekit.data.stored import value_blocks
from vaekit.errors import UsageError
from vaekit.likelihoods import is_continuous
from vaekit.sentence import Spec

__all__ = ["fit_schema"]


def fit_schema(dataset: Dataset, likelihood: Spec) -> Schema:
    """Learn the schema of the training rows for a likelihood.

    Parameters
    ----------
    dataset
        The training rows.
    likelihood
        Its spec; one for each column (``mixed``) counts the columns that vary.

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
        varying = (
            int((dataset.values.min(0) != dataset.values.max(0)).sum()) if dataset.kind == "table" else 0
        )
        columns = likelihood.options["columns"]
        built = likelihood.build(event_shape=(varying or len(columns),))
        return Schema.fit(
            dataset, scaling="mixed", continuous=[is_continuous(kind) for kind in built.columns]
        )
    if dataset.categories is not None:
        names = [name for name, text in zip(dataset.columns or (), dataset.categories, strict=True) if text]
        told = f"{'columns' if len(names) > 1 else 'column'} {', '.join(names)[:200]} with text"
        raise UsageError(
            f"likelihood {likelihood.kind}: {told}: categories need likelihood auto or mixed; or "
            "give --label for a column that is not to be modelled"
        )
    part = likelihood.build(event_shape=dataset.event_shape)
    if not (part.traits.scaling == "unit" and dataset.values.dtype == np.uint8):
        for block in value_blocks(dataset.values):
            part.support.check(block, likelihood.kind)
    return Schema.fit(dataset, scaling=part.traits.scaling)
