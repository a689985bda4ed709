"""Read a student's .py or .ipynb into one text of Python, whose lines can be found again in the file.

A notebook's cells are joined, with magics and shell lines blanked. A comment may carry a mapping of names.
"""

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from vaekit.errors import DataError

__all__ = ["Source", "mapping_in", "read_source"]


@dataclass(frozen=True)
class Source:
    """The code of a file, with the place of each of its lines.

    Parameters
    ----------
    path
        The file.
    code
        Python, one text.
    cells
        For a notebook, the first line in ``code`` of each code cell and the cell's number; empty for .py.
    """

    path: Path
    code: str
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def is_notebook(self) -> bool:
        return self.path.suffix == ".ipynb"

    def where(self, line: int) -> str:
        """Say where a line of ``code`` stands in the file."""
        if not self.cells:
            return f"line {line}"
        first, number = self.cells[max(bisect_right([start for start, _ in self.cells], line) - 1, 0)]
        return f"cell {number}, line {line - first + 1}"


def read_source(path: str | Path) -> Source:
    """Read a .py file or a notebook.

    Raises
    ------
    DataError
        For a file that is missing, of another kind, not text, or a notebook that is no JSON or has no cells.
    """
    path = Path(path)
    if path.suffix not in (".py", ".ipynb"):
        raise DataError(f"{path} is neither a .py file nor an .ipynb notebook")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"cannot read {path}: {reason}") from error
    if path.suffix == ".py":
        return Source(path, text)
    try:
        notebook = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not a notebook: it is no JSON ({error})") from error
    return _join_cells(path, notebook)


def _join_cells(path: Path, notebook: object) -> Source:
    worksheets = notebook.get("worksheets") if isinstance(notebook, dict) else None
    inside = worksheets[0] if isinstance(worksheets, list) and worksheets else notebook
    cells = inside.get("cells") if isinstance(inside, dict) else None
    if not isinstance(cells, list):
        raise DataError(f"{path} is not a notebook: its JSON has no list of cells")
    lines: list[str] = []
    starts: list[tuple[int, int]] = []
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        text = "".join(map(str, source)) if isinstance(source, list) else str(source)
        starts.append((len(lines) + 1, number))
        lines += _without_magics(text)
    return Source(path, "\n".join(lines) + "\n", tuple(starts))


def _without_magics(text: str) -> list[str]:
    """Blank what only IPython understands; a cell under another language's magic goes wholly."""
    lines = text.splitlines() or [""]
    first = next((line for line in lines if line.strip()), "")
    if re.match(r"%%(?!time|timeit|capture)", first):
        return ["" for _ in lines]
    magic = re.compile(r"^\s*(%|!|\?)|^[\w.]+\?{1,2}\s*$")
    assigned = re.compile(r"^(\s*)[\w, ]+=\s*[!%]")
    kept = []
    for line in lines:
        if magic.match(line) or assigned.match(line):
            indent = line[: len(line) - len(line.lstrip())]
            kept.append(f"{indent}pass" if indent else "")
        else:
            kept.append(line)
    return kept


def mapping_in(code: str) -> dict[str, str]:
    """Read the mapping that comments carry: ``# vaekit: sample_z = my_sampler, kl_loss = my_kl``."""
    pairs: dict[str, str] = {}
    for line in re.findall(r"^\s*#\s*vaekit\s*:\s*(.+)$", code, flags=re.MULTILINE):
        pairs |= dict(re.findall(r"(\w+)\s*=\s*([\w.]+)", line))
    return pairs
