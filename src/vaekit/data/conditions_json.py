"""The conditions in ``model.json``: written plainly, read strictly."""

import math
from dataclasses import asdict
from typing import Any

from vaekit.data.conditions import Condition, ConditionSchema
from vaekit.errors import ArtifactError

__all__ = ["conditions_from_json", "conditions_to_json"]

_KEYS = {"conditions", "missing", "seen", "counts"}
_CONDITION_KEYS = {"name", "categories", "mean", "standard_deviation"}


def conditions_to_json(schema: ConditionSchema) -> dict[str, Any]:
    """Return the fields as plain values; floats survive JSON exactly."""
    return {
        "conditions": [_plain(condition) for condition in schema.conditions],
        "missing": schema.missing,
        "seen": [list(row) for row in schema.seen],
        "counts": list(schema.counts),
    }


def conditions_from_json(document: Any) -> ConditionSchema:
    """Rebuild them, refusing anything `conditions_to_json` would not have written.

    Raises
    ------
    ArtifactError
        Naming what is wrong.
    """
    _require(isinstance(document, dict) and set(document) == _KEYS, f"expected the keys {sorted(_KEYS)}")
    entries, seen, counts = document["conditions"], document["seen"], document["counts"]
    _require(isinstance(entries, list) and len(entries) > 0, "expected a list of conditions")
    _require(isinstance(document["missing"], bool), "missing: expected true or false")
    conditions = tuple(_condition(entry) for entry in entries)
    names = [condition.name for condition in conditions]
    _require(len(set(names)) == len(names), "a name stands more than once")
    schema = ConditionSchema(conditions, document["missing"])
    _require(
        isinstance(seen, list) and isinstance(counts, list) and len(seen) == len(counts) > 0, "seen, counts"
    )
    rows = tuple(tuple(_number(value) for value in row) for row in seen if isinstance(row, list))
    _require(
        len(rows) == len(seen) and all(len(row) == schema.width for row in rows), "seen: rows of numbers"
    )
    _require(all(type(n) is int and n > 0 for n in counts), "counts: expected whole numbers above 0")
    return ConditionSchema(conditions, document["missing"], rows, tuple(counts))


def _plain(condition: Condition) -> dict[str, Any]:
    categories = condition.categories
    return {**asdict(condition), "categories": None if categories is None else list(categories)}


def _condition(entry: Any) -> Condition:
    _require(isinstance(entry, dict) and set(entry) == _CONDITION_KEYS, f"expected {sorted(_CONDITION_KEYS)}")
    _require(isinstance(entry["name"], str), "name: expected text")
    categories = entry["categories"]
    if categories is not None:
        _require(isinstance(categories, list) and len(categories) > 1, "categories: expected at least 2")
        _require(all(isinstance(c, str) and c for c in categories), "categories: expected text")
        _require(len(set(categories)) == len(categories), "categories: one stands more than once")
        categories = tuple(categories)
    mean, deviation = _number(entry["mean"]), _number(entry["standard_deviation"])
    _require(deviation > 0, "standard_deviation: expected a number above 0")
    return Condition(entry["name"], categories, mean, deviation)


def _number(value: Any) -> float:
    _require(
        isinstance(value, int | float) and not isinstance(value, bool), f"{value!r:.40}: expected a number"
    )
    _require(math.isfinite(value), f"{value!r:.40}: expected a finite number")
    return float(value)


def _require(truth: bool, problem: str) -> None:
    if not truth:
        raise ArtifactError(f"schema.conditions: {problem}; was the file edited?")
