"""The student edition is the notebook without its answers, and nothing but that."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest

from narrowing import known

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("make_exercise", FOLDER / "make_exercise.py")
    module = importlib.util.module_from_spec(known(spec))
    known(known(spec).loader).exec_module(module)
    return module


@pytest.fixture
def edition(script, tmp_path, monkeypatch):
    """The script with copies of both notebooks to write to."""
    for name in ("NOTEBOOK", "EXERCISE"):
        copy = tmp_path / getattr(script, name).name
        copy.write_bytes(getattr(script, name).read_bytes())
        monkeypatch.setattr(script, name, copy)
    return script


def cells_of(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]


def test_the_committed_notebooks_are_what_the_script_writes(script, capsys):
    assert script.main(["--check"]) == 0, capsys.readouterr().err


def test_outputs_stay_out_of_the_edition_metadata_go_and_a_stale_edition_is_noticed(edition):
    before = edition.NOTEBOOK.read_bytes(), edition.EXERCISE.read_bytes()
    notebook = json.loads(before[0])
    run = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    run["metadata"]["collapsed"] = True
    drawn = next(
        o for c in notebook["cells"] for o in c.get("outputs", ()) if "image/png" in o.get("data", {})
    )
    drawn["metadata"] = {"needs_background": "light"}
    drawn["data"]["text/plain"] = ["<Figure size 500x280 with 1 Axes>"]
    notebook["metadata"]["language_info"]["version"] = "3.99"
    edition.NOTEBOOK.write_text(json.dumps(notebook), encoding="utf-8")
    assert edition.main(["--check"]) == 1
    assert edition.main([]) == 0
    assert (edition.NOTEBOOK.read_bytes(), edition.EXERCISE.read_bytes()) == before
    assert edition.main(["--check"]) == 0


def test_the_edition_has_no_outputs_and_new_ones_do_not_change_it(edition):
    assert not [
        cell for cell in cells_of("VAE_exercise.ipynb") if cell.get("outputs") or cell.get("execution_count")
    ]
    before = edition.EXERCISE.read_bytes()
    notebook = json.loads(edition.NOTEBOOK.read_text(encoding="utf-8"))
    run = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    run["execution_count"] = 7
    run["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["noise\n"]}]
    edition.NOTEBOOK.write_text(edition.dump(notebook), encoding="utf-8")
    assert edition.main([]) == 0
    assert edition.EXERCISE.read_bytes() == before
    assert "noise" in edition.NOTEBOOK.read_text(encoding="utf-8")


def test_a_change_of_an_answer_that_is_not_its_task_leaves_the_edition_as_it_is(edition):
    before = edition.EXERCISE.read_bytes()
    text = edition.NOTEBOOK.read_text(encoding="utf-8")
    edition.NOTEBOOK.write_text(
        text.replace("torch.randn_like(mu)", "torch.randn(mu.shape)"), encoding="utf-8"
    )
    edition.main([])
    assert edition.EXERCISE.read_bytes() == before
    edition.NOTEBOOK.write_text(
        text.replace("def sample_z(mu, log_var)", "def draw(mu, log_var)"), encoding="utf-8"
    )
    edition.main([])
    assert edition.EXERCISE.read_bytes() != before


def test_only_answers_are_taken_out_and_all_of_them():
    full, student = cells_of("VAE.ipynb"), cells_of("VAE_exercise.ipynb")
    assert [cell["id"] for cell in full] == [cell["id"] for cell in student]
    answers = 0
    for cell, stub in zip(full[1:], student[1:], strict=True):
        if "answer" not in cell["metadata"].get("tags", []):
            assert cell | {key: stub[key] for key in ("execution_count", "outputs") if key in stub} == stub
            continue
        answers += 1
        if cell["cell_type"] == "markdown":
            assert stub["source"] == ["**Your turn.** *Write your derivation here.*"]
            continue
        tasks = list(functions("".join(stub["source"])))
        assert [f.name for f in tasks] == [f.name for f in functions("".join(cell["source"]))]
        for task in tasks:
            assert ast.get_docstring(task)
            assert [type(statement) for statement in task.body] == [ast.Expr, ast.Raise]
    assert answers >= 20
    names = {
        f.name
        for c in full
        if "answer" in c["metadata"].get("tags", [])
        for f in functions("".join(c["source"]))
    }
    assert {"sample_z", "recon_loss", "kl_loss", "vae_loss", "kl_gaussians", "iwae_bound"} <= names


def functions(source):
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a cell of text
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_the_tasks_run_and_say_whose_turn_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEKIT_NOTEBOOK_FAST", "1")
    namespace = {"__name__": "notebook"}
    raised = None
    for cell in cells_of("VAE_exercise.ipynb"):
        if cell["cell_type"] == "code":
            try:
                exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
            except NotImplementedError as error:
                raised = (cell["id"], str(error))
                break
    assert raised == ("plot-figure", "tile: your turn")


@pytest.mark.parametrize(
    ("source", "message"),
    [("def f(x):\n    return x", "f has no docstring"), ("y = 1", "functions and classes alone")],
)
def test_an_answer_that_would_leave_no_task_is_refused(script, source, message):
    with pytest.raises(ValueError, match=message):
        script.stub(source)


def test_a_stub_keeps_decorators_signatures_docstrings_and_what_stands_between(script):
    source = '''class A(Base):
    """Keep."""

    def __init__(self, n=3):
        """First."""
        self.n = n

    @property
    def m(self):
        """Second,

        and more.
        """
        if self.n:
            return 1
        return 2
'''
    expected = '''class A(Base):
    """Keep."""

    def __init__(self, n=3):
        """First."""
        raise NotImplementedError("A.__init__: your turn")

    @property
    def m(self):
        """Second,

        and more.
        """
        raise NotImplementedError("A.m: your turn")'''
    assert script.stub(source) == expected
