"""Messages speak the language of the caller: arguments in Python, flags on the command line."""

import ast
import re
from pathlib import Path

import pytest

import vaekit
from narrowing import untyped
from vaekit.cli import _in_flags

SOURCE = Path(vaekit.__file__).parent
FLAG = re.compile(r"(?<![\w`(-])--[a-z][a-z-]*")
# Commands that a page or a list shows as commands; no error has them.
COMMANDS = {
    "jobs/diagnosis/diagnose_calibration.py", "jobs/diagnosis/diagnose_columns.py",
    "jobs/diagnosis/diagnose_inference.py", "jobs/diagnosis/diagnose_latents.py",
    "jobs/diagnosis/diagnose_rows.py", "jobs/diagnosis/seed_sensitivity.py",
    "report/provenance.py", "report/verdict.py", "sentence/named_models.py",
}  # fmt: skip
# A flag of another program.
FOREIGN = {"--nproc-per-node"}


def below_the_command_line():
    names = (str(path.relative_to(SOURCE)) for path in sorted(SOURCE.rglob("*.py")))
    return [name for name in names if not name.startswith("cli/") and name not in COMMANDS]


def flags_in(tree: ast.Module) -> list[str]:
    """The flags in strings that are no documentation."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        id(untyped(n.body[0]).value)
        for n in ast.walk(tree)
        if isinstance(n, documented) and ast.get_docstring(n)
    }
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    found = [flag for n in texts if id(n) not in docs for flag in FLAG.findall(str(n.value))]
    return [flag for flag in found if flag not in FOREIGN]


def test_the_search_finds_flags_in_messages_and_not_in_documentation():
    code = '"""Of --all."""\ndef f(x):\n  """Of --one."""\n  raise ValueError(f"{x}: give --label {x}" "or --given")'
    assert flags_in(ast.parse(code)) == ["--label", "--given"]


@pytest.mark.parametrize("name", below_the_command_line())
def test_no_message_of_python_names_a_flag(name):
    found = flags_in(ast.parse((SOURCE / name).read_text()))
    assert not found, (
        "name the argument (label='id'), and add to `_IN_FLAGS` what the command line says instead"
    )


@pytest.mark.parametrize(
    ("python", "flags"),
    [
        ("there is one already; give force=True to replace it", "there is one already; give --force to replace it"),
        ("it exists; choose another save, or give force=True", "it exists; choose another --save, or give --force"),
        ("save is for a detector that is fitted here", "--save is for a detector that is fitted here"),
        ("start all processes again with resume=True", "start all processes again with --resume"),
        ("shard=True spreads a model, and this is one", "--shard spreads a model, and this is one"),
        ("remove it, or give fit_and_prove label='id' to keep it", "remove it, or give --label id to keep it"),
        ("give fit_and_prove label='my id' to keep it", "give --label 'my id' to keep it"),
        ('give fit_and_prove label="it\'s" to keep it', 'give --label "it\'s" to keep it'),
        ("remove them, or name a label with label=NAME", "remove them, or name a label with --label NAME"),
        ("as in given='label=3', or given='data' to draw", "as in --given label=3, or --given data to draw"),
        ("their folder with data_dir=FOLDER or $VAEKIT_DATA", "their folder with --data-dir FOLDER or $VAEKIT_DATA"),
        ("fit with likelihood=gaussian or laplace", "fit with --likelihood gaussian or laplace"),
        ("fit with objective=m2 and a condition", "fit with --objective m2 and a condition"),
        ("missing_values and steps are of the fit", "--missing-values and --steps are of the fit"),
        ("missing_values is of the fit, and", "--missing-values is of the fit, and"),
        ("keep_missing is of the fit, and", "--keep-missing is of the fit, and"),
        ("unique is of the fit, and", "--unique is of the fit, and"),
        ("validation=2: give a share", "--validation 2: give a share"),
        ("x.csv: column 'label' holds text", "x.csv: column 'label' holds text"),
    ],
)  # fmt: skip
def test_the_command_line_says_it_in_flags(python, flags):
    assert _in_flags(python) == flags
