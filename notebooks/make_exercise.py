"""Make the student edition of VAE.ipynb: the same notebook with the answers taken out.

    python notebooks/make_exercise.py            # tidy VAE.ipynb, and write VAE_exercise.ipynb beside it
    python notebooks/make_exercise.py --run      # run VAE.ipynb first, and keep what it prints and draws
    python notebooks/make_exercise.py --check    # exit 1 where either of them is not what this would write

VAE.ipynb keeps the outputs of its last run, so that they are seen where it is only read; the student edition has none.
An answer is a cell with the tag ``answer``. Of a cell of code, the imports, the names of functions and classes,
their parameters and their docstrings stay: they are the task. Bodies go. Of a cell of text nothing stays.
"""

import argparse
import ast
import copy
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["clean", "dump", "exercise", "main", "stub"]

FOLDER = Path(__file__).parent
NOTEBOOK, EXERCISE = FOLDER / "VAE.ipynb", FOLDER / "VAE_exercise.ipynb"
ANSWER = "answer"
TEXT_TASK = "**Your turn.** *Write your derivation here.*"
NOTE = """---

**Student edition.** Where a cell says `raise NotImplementedError`, the work is yours. Its docstring says what
goes in and what comes out, the text above has the formula, and the cells below check the result. Run the
notebook from the top, and stop at each of these cells until the checks below it pass. Where one does not, save the
notebook and run

    vaekit check VAE_exercise.ipynb

in a terminal: for the functions of sections 5 and 7 it names the mistake."""

Notebook = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Write both notebooks, or compare them with what would be written; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the student edition of VAE.ipynb.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where a file would change"
    )
    parser.add_argument("--run", action="store_true", help="run VAE.ipynb, and keep its outputs")
    options = parser.parse_args(arguments)
    check = options.check
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    notebook = clean(run(found) if options.run else found)
    stale = False
    for path, content in ((NOTEBOOK, notebook), (EXERCISE, exercise(notebook))):
        text = dump(content)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale = True
        if check:
            print(
                f"{path.name} is not what make_exercise.py writes; run it and commit the result",
                file=sys.stderr,
            )
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return int(check and stale)


def run(notebook: Notebook) -> Notebook:
    """Run a notebook in an empty folder, and return it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("VAEKIT_NOTEBOOK_FAST", None)
        node = nbformat.from_dict(notebook)
        NotebookClient(node, timeout=None, resources={"metadata": {"path": folder}}).execute()
    return json.loads(nbformat.writes(node))


def clean(notebook: Notebook) -> Notebook:
    """Take out the metadata of the machine and the editor; what was printed and drawn stays."""
    cells = []
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        kept = {
            "cell_type": cell["cell_type"],
            "id": cell["id"],
            "metadata": {"tags": tags} if tags else {},
            "source": "".join(cell["source"]).rstrip().splitlines(keepends=True),
        }
        if cell["cell_type"] == "code":
            kept |= {
                "execution_count": cell["execution_count"],
                "outputs": [_clean_output(output) for output in cell["outputs"]],
            }
        cells.append(kept)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _clean_output(output: dict[str, Any]) -> dict[str, Any]:
    """Return an output without metadata, and of a picture without its description."""
    kept = {key: value for key, value in output.items() if key not in ("metadata", "data")}
    if "data" in output:
        data = output["data"]
        kept["data"] = {
            key: value for key, value in data.items() if "image/png" not in data or key == "image/png"
        }
    return kept | ({"metadata": {}} if "metadata" in output else {})


def exercise(notebook: Notebook) -> Notebook:
    """Take out all outputs, replace the cells tagged as answers by their tasks, and say so below the title."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
        if ANSWER in cell["metadata"].get("tags", []):
            text = "".join(cell["source"])
            text = stub(text) if cell["cell_type"] == "code" else TEXT_TASK
            cell["source"] = text.splitlines(keepends=True)
            cell["metadata"] = {"tags": ["exercise"]}
    title = notebook["cells"][0]
    title["source"] = ("".join(title["source"]) + "\n\n" + NOTE).splitlines(keepends=True)
    return notebook


def stub(source: str) -> str:
    """Empty the functions of a cell.

    Raises
    ------
    ValueError
        Where a function has no docstring, or the cell has statements outside of functions and classes.

    Examples
    --------
    >>> print(stub('def double(x):\\n    "Give twice x."\\n    return 2 * x'))
    def double(x):
        "Give twice x."
        raise NotImplementedError("double: your turn")
    """
    lines = source.splitlines()
    for name, node in reversed(_functions(ast.parse(source).body)):
        first = node.body[0]
        if ast.get_docstring(node) is None or first.end_lineno is None:
            raise ValueError(f"the answer {name} has no docstring: it is what remains as the task")
        indent = " " * first.col_offset
        lines[first.end_lineno : node.end_lineno] = [
            f'{indent}raise NotImplementedError("{name}: your turn")'
        ]
    return "\n".join(lines)


def _functions(body: list[ast.stmt], prefix: str = "") -> list[tuple[str, ast.FunctionDef]]:
    """The functions and methods of a cell by name, in order."""
    found = []
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.append((prefix + node.name, node))
        elif isinstance(node, ast.ClassDef):
            docstring = ast.get_docstring(node) is not None
            found += _functions(node.body[docstring:], f"{node.name}.")
        else:
            raise ValueError(f"line {node.lineno}: an answer consists of functions and classes alone")
    return found


def dump(notebook: Notebook) -> str:
    """Write a notebook as Jupyter does, with sorted keys, so that equal notebooks are equal files."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
