"""The schema in ``model.json``: written plainly, read strictly."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vaekit.data.conditions_json import conditions_from_json, conditions_to_json
from vaekit.data.hints import few
from vaekit.data.summary import Column
from vaekit.errors import ArtifactError
from vaekit.language.grammar import did_you_mean

if TYPE_CHECKING:
    from vaekit.data.schema import Schema

__all__ = ["schema_from_json", "schema_to_json"]

SCHEMA_KEYS = ("kind", "event_shape", "dtype", "columns", "scaling", "offset", "scale")
INTEGER_TYPES = tuple(f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64))
NUMERIC_TYPES = (*INTEGER_TYPES, "float16", "float32", "float64")
COLUMN_NUMBERS = ("minimum", "maximum", "mean", "standard_deviation", "missing_rate")
COLUMN_KEYS = ("name", *COLUMN_NUMBERS, "constant", "integer")


def schema_to_json(schema: Schema) -> dict[str, Any]:
    """Return the fields of the schema as plain values; floats survive JSON exactly."""
    conditions = {} if schema.conditions is None else {"conditions": conditions_to_json(schema.conditions)}
    return {
        "kind": schema.kind,
        "event_shape": list(schema.event_shape),
        "dtype": schema.dtype,
        "columns": [_column_to_json(column) for column in schema.columns],
        "scaling": schema.scaling,
        "offset": list(schema.offset),
        "scale": list(schema.scale),
        **conditions,
    }


def schema_from_json(cls: type[Schema], document: Any) -> Schema:
    """Rebuild a schema, refusing anything `schema_to_json` would not have written."""
    conditions = None
    if isinstance(document, dict) and "conditions" in document:
        conditions = conditions_from_json(document["conditions"])
        document = {key: value for key, value in document.items() if key != "conditions"}
    _require_keys(document, SCHEMA_KEYS, "schema")
    kind = _one_of(document["kind"], ("table", "images"), "schema.kind")
    scaling = _one_of(document["scaling"], ("none", "unit", "standardize", "mixed"), "schema.scaling")
    dtype = document["dtype"]
    if dtype not in NUMERIC_TYPES:
        raise ArtifactError(
            f"schema.dtype: {dtype!r:.60}; expected the name of a numeric type such as 'float64'"
        )
    event_shape = _list(document["event_shape"], "schema.event_shape", length=1 if kind == "table" else 3)
    for i, size in enumerate(event_shape):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ArtifactError(
                f"schema.event_shape[{i}]: {size!r:.60}; expected a whole number of at least 1"
            )
    count = event_shape[0] if kind == "table" else 1
    entries = _list(document["columns"], "schema.columns", length=count)
    columns = tuple(_column(entry, f"schema.columns[{i}]") for i, entry in enumerate(entries))
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise ArtifactError(f"schema.columns: names that stand more than once among {few(names)}")
    if all(column.constant for column in columns):
        raise ArtifactError("schema.columns: every column is constant; expected at least one that varies")
    offset, scale = (
        tuple(
            _number(value, f"schema.{key}[{i}]")
            for i, value in enumerate(_list(document[key], f"schema.{key}", length=count))
        )
        for key in ("offset", "scale")
    )
    for i, value in enumerate(scale):
        if value <= 0:
            raise ArtifactError(f"schema.scale[{i}]: {value!r}; expected a number above 0")
    return cls(kind, tuple(event_shape), dtype, columns, scaling, offset, scale, conditions)  # type: ignore[arg-type]


def _column_to_json(column: Column) -> dict[str, Any]:
    """Write categories only where there are some: a table of numbers reads as it always did."""
    entry = asdict(column)
    names = entry.pop("categories")
    return entry if names is None else {**entry, "categories": list(names)}


def _column(entry: Any, where: str) -> Column:
    categories = None
    if isinstance(entry, dict) and "categories" in entry:
        entry = dict(entry)
        categories = _categories(entry.pop("categories"), f"{where}.categories")
    _require_keys(entry, COLUMN_KEYS, where)
    if not isinstance(entry["name"], str):
        raise ArtifactError(f"{where}.name: {entry['name']!r:.60}; expected text")
    for key in ("constant", "integer"):
        if not isinstance(entry[key], bool):
            raise ArtifactError(f"{where}.{key}: {entry[key]!r:.60}; expected true or false")
    numbers = {key: _number(entry[key], f"{where}.{key}") for key in COLUMN_NUMBERS}
    return Column(
        name=entry["name"],
        constant=entry["constant"],
        integer=entry["integer"],
        categories=categories,
        **numbers,
    )


def _categories(names: Any, where: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ArtifactError(f"{where}: {names!r:.60}; expected a list of texts")
    if len(set(names)) < len(names):
        raise ArtifactError(f"{where}: names that stand more than once among {few(names)}")
    return tuple(names)


def _require_keys(document: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(document, dict):
        raise ArtifactError(
            f"{where}: {type(document).__name__}; expected an object with the keys {few(keys, most=9)}"
        )
    unknown = [key for key in document if key not in keys]
    if unknown:
        hint = did_you_mean(str(unknown[0]), keys)
        raise ArtifactError(f"{where}: unknown key {few(unknown)}{hint or '; was the file edited?'}")
    missing = [key for key in keys if key not in document]
    if missing:
        raise ArtifactError(f"{where}: missing key {few(missing)}; was the file edited?")


def _one_of(value: Any, choices: tuple[str, ...], where: str) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ArtifactError(f"{where}: {value!r:.60}; expected one of {few(choices)}")
    return value


def _list(value: Any, where: str, *, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        given = f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
        raise ArtifactError(f"{where}: {given}; expected a list of {length}")
    return value


def _number(value: Any, where: str) -> float:
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if abs(value) <= sys.float_info.max else math.inf
    if not math.isfinite(number):
        raise ArtifactError(f"{where}: {value!r:.60}; expected a finite number")
    return number
