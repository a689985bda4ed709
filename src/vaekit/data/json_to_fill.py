"""JSON with the holes of some columns filled: other values stay, and whole lines of a ``.jsonl`` byte for byte."""

import json
from typing import Any

from vaekit.data.cells_to_fill import CellsToFill, Values

__all__ = ["fill_json"]


def fill_json(content: bytes, cells: CellsToFill, values: Values, *, by_line: bool) -> bytes:
    r"""Return the bytes of a list of objects, or an object of columns, with other values in the holes.

    Parameters
    ----------
    content
        The bytes of the file.
    cells, values
        The columns to fill as they were read, and their values.
    by_line
        Whether each line is an object of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from vaekit.data import Dataset
    >>> cells = CellsToFill.of(Dataset(np.array([[1.5], [np.nan]]), "table", ("a",)), ["a"])
    >>> fill_json(b'{"a":1.5}\n{"a":null}\n', cells, {"a": np.array([1.5, 2.0])}, by_line=True)
    b'{"a":1.5}\n{"a":2.0}\n'
    """
    text = content.decode("utf-8-sig")
    lines = text.splitlines(keepends=True) if by_line else []
    full = [i for i, line in enumerate(lines) if line.strip()]
    found: Any = [json.loads(lines[i]) for i in full] if by_line else json.loads(text)
    changed: set[int] = set()
    for name, column in values.items():
        at, observed = cells.holes(name, column), cells.observed(name)
        keys = [(name, i) for i in range(len(column))]
        if not isinstance(found, list):
            keys = [(name, key) for key in _keys_of(found, name)]

        def cell(key: tuple[str, Any], name: str = name) -> Any:
            return found[key[1]].get(name) if isinstance(found, list) else found[name][key[1]]

        there = [cell(keys[i]) for i in observed]
        for i, new in zip(at.tolist(), cells.cells(name, column[at], there), strict=True):
            if isinstance(found, list):
                found[i][name] = new
            else:
                found[name][keys[i][1]] = new
            changed.add(i)
    if by_line:
        for i in changed:
            line = lines[full[i]]
            new = json.dumps(found[i], ensure_ascii=False, separators=_separators(line))
            lines[full[i]] = new + line[len(line.rstrip("\r\n")) :]
        return "".join(lines).encode()
    second = text.strip().splitlines()[1:2]
    indent = len(second[0]) - len(second[0].lstrip()) if second else None
    return json.dumps(
        found, ensure_ascii=False, indent=indent, separators=None if second else _separators(text)
    ).encode()


def _keys_of(columns: dict[str, Any], name: str) -> list[Any]:
    """Return the keys of the cells of a column, in the order in which pandas reads the rows."""
    import pandas as pd

    if isinstance(columns[name], list):
        return list(range(len(columns[name])))
    return pd.DataFrame(columns).index.tolist()


def _separators(text: str) -> tuple[str, str] | None:
    return None if '": ' in text else (",", ":")
