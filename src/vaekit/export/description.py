"""The description that goes with an exported function: names, units, categories, and what each number is."""

from typing import Any

from vaekit.estimator import VariationalAutoencoder
from vaekit.export.row_functions import RowFunction

__all__ = ["describe_function"]

_OUTPUTS = {
    ("encoder", "mean"): "the mean of the posterior q(z | x), or the point that stands for it",
    ("encoder", "standard_deviation"): "the posterior's standard deviation, for each latent dimension",
    (
        "decoder",
        "mean",
    ): "the mean of p(x | z) in the units of the data; of a category the most probable one's place",
    ("decoder", "standard_deviation"): "the standard deviation of p(x | z) in the units of the data",
    ("decoder", "parameters"): "the features of the likelihood, in the coordinates of the model",
    (
        "reconstruct",
        "reconstruction",
    ): "the mean of p(x | z) at the posterior's mean, in the units of the data",
    (
        "score",
        "elbo",
    ): "the evidence lower bound of log p(x), in nats and the units of the data",
    (
        "score",
        "importance_weighted",
    ): "the importance-weighted bound of log p(x), tighter with more draws, in nats",
}
_INPUTS = {
    "rows": "rows in the units of the data; a category is the number of its place, from 0",
    "latent": "latent points",
    "noise": "standard normal numbers (draws, rows, width): the same ones give the same score",
    "condition": "the conditions, encoded: of each category a number 1 at its place, numbers standardised",
}


def describe_function(
    vae: VariationalAutoencoder, function: RowFunction, *, takes_missing: bool
) -> dict[str, Any]:
    """Return what a user of the program must know, as plain dictionaries, lists, strings and numbers."""
    schema = vae.schema_
    inputs = {name: _INPUTS[name] for name in function.inputs}
    if takes_missing and "rows" in inputs:
        inputs["rows"] += "; NaN where a value is missing"
    described: dict[str, Any] = {
        "function": function.name,
        "sentence": vae.sentence_.to_json(),
        "data": schema.describe(),
        "event_shape": list(schema.event_shape),
        "inputs": inputs,
        "outputs": {name: _OUTPUTS[function.name, name] for name in function.outputs},
        "takes_missing": takes_missing,
    }
    if schema.kind == "table":
        described["columns"] = [
            {
                "name": column.name,
                "minimum": None if column.missing_rate == 1 else column.minimum,
                "maximum": None if column.missing_rate == 1 else column.maximum,
                **({} if column.categories is None else {"categories": list(column.categories)}),
            }
            for column in schema.columns
        ]
    if schema.conditions is not None:
        described["conditions"] = [condition.describe() for condition in schema.conditions.conditions]
    return described
