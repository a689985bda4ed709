"""The notebook runs from top to bottom, and its assertions tell right from almost right."""

import ast
import base64
import copy
import os
import re
from pathlib import Path

import matplotlib
import nbformat
import pytest
from nbclient import NotebookClient

from narrowing import untyped
from vaekit.classroom import ROLES, check_file
from vaekit.runtime.randomness import seeded

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "VAE.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_of(notebook) -> dict[str, str]:
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}


def test_every_cell_is_short_and_follows_a_text(notebook):
    nbformat.validate(notebook)
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown", f"{cell.id}: no text before it"
            assert len(cell.source.splitlines()) <= 26, f"{cell.id} is long"
    assert max(len(line) for source in code_of(notebook).values() for line in source.splitlines()) <= 120


def test_it_is_kept_with_the_outputs_of_a_run(notebook):
    """Every cell was run in order, without a warning, and its pictures are there for who only reads it."""
    assert NOTEBOOK.stat().st_size < 1_000_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 13
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    said = {cell.id: "".join(output.get("text", "") for output in cell.outputs) for cell in code}
    _, ignorant, trained = map(float, re.findall(r"[\d.]+\d", said["training-check"]))
    assert trained < 0.95 * ignorant, "a whole run, and not a quick one"


def test_it_runs_from_top_to_bottom(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("VAEKIT_NOTEBOOK_FAST", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    # The test counts the assertions that the kernel gets past.
    run = instrumented(notebook)
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(run, timeout=300, kernel_name="python3", resources=folder).execute()

    code = [cell for cell in run.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"], "a warning was printed"
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 13
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"000.png", "005.png", "010.png"}
    passed = int(code[-1].outputs[-1].text.split()[-1])
    in_cells = sum(len(assertions(source)) for source in code_of(notebook).values())
    assert in_cells >= 50
    # All of them run but the one on MNIST's 105 nats; those in loops run more than once.
    assert passed >= in_cells - 1


def assertions(source: str) -> list[ast.stmt]:
    """The statements of a cell that compare something."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt) and is_assertion(node)]


def is_assertion(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id == "assert_close"
    return isinstance(node, ast.Assert)


class _Count(ast.NodeTransformer):
    """Put ``assertions_passed += 1`` behind every assertion."""

    def generic_visit(self, node):
        super().generic_visit(node)
        for name in ("body", "orelse"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                counter = ast.parse("assertions_passed += 1").body[0]
                setattr(
                    node,
                    name,
                    [part for s in statements for part in ([s, counter] if is_assertion(s) else [s])],
                )
        return node


def instrumented(notebook):
    counting = copy.deepcopy(notebook)
    code = [cell for cell in counting.cells if cell.cell_type == "code"]
    for cell in code:
        if assertions(cell.source):
            cell.source = ast.unparse(ast.fix_missing_locations(_Count().visit(ast.parse(cell.source))))
    code[0].source = "assertions_passed = 0\n" + code[0].source
    code[-1].source += "\nprint('assertions passed:', assertions_passed)"
    return counting


# The cell, what is right, the mistake, and the cell that must catch it.
MISTAKES = {
    "one noise vector for the batch": ("sample", "torch.randn_like(mu)", "torch.randn_like(mu[0])", "sample-check"),
    "variance as standard deviation": ("sample", "0.5 * log_var", "log_var", "sample-check"),
    "noise without gradient": ("sample", "* log_var)", "* log_var).detach()", "sample-check"),
    "probabilities that are not": ("decoder", "torch.sigmoid(logits), logits", "logits, logits", "decoder-check"),
    "mean over pixels": ("recon", ".sum(dim=-1)", ".mean(dim=-1)", "recon-check"),
    "sum over the batch": ("recon", ".sum(dim=-1)", ".sum()", "recon-check"),
    "cross-entropy on probabilities": (
        "recon",
        "(F.softplus(logits) - x * logits)",
        "F.binary_cross_entropy(logits.sigmoid(), x.expand_as(logits), reduction='none')",
        "recon-check",
    ),
    "KL without its half": ("kl", "0.5 * (torch", "(torch", "kl-check"),
    "KL without its -1": ("kl", "- 1 - log_var", "- log_var", "kl-check"),
    "KL as a mean": ("kl", ".sum(dim=-1)", ".mean(dim=-1)", "kl-check"),
    "KL of a standard deviation": ("kl", "torch.exp(log_var)", "torch.exp(0.5 * log_var)", "kl-check"),
    "covariances exchanged": ("gaussians", "solve(S2, S1)", "solve(S1, S2)", "gaussians-check"),
    "KL without its -k": ("gaussians", " - len(m1)", "", "gaussians-check"),
    "a sign": ("vae-loss", "+ kl_loss", "- kl_loss", "vae-loss-check"),
    "the mean in place of a draw": ("loss-terms", "decoder(sample_z(mu, log_var))", "decoder(mu)", "vae-loss-check"),
    "a decoder that is not trained": ("optimizer", "network in networks", "network in networks[:1]", "optimizer-check"),
    "images out of order": ("plot", "permute(0, 2, 1, 3)", "permute(1, 0, 2, 3)", "plot-vaekit"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught_by_the_check_below_it(notebook, mistake, tmp_path, monkeypatch):
    cell, right, wrong, check = MISTAKES[mistake]
    code = code_of(notebook)
    assert code[cell].count(right) >= 1
    monkeypatch.setenv("VAEKIT_NOTEBOOK_FAST", "1")
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names = list(code)
    namespace = {"__name__": "notebook"}
    code[cell] = code[cell].replace(right, wrong)
    with seeded(0):
        try:
            for name in names[: names.index(check)]:
                exec(compile(code[name], name, "exec"), namespace)
            with pytest.raises((AssertionError, RuntimeError)):
                exec(compile(code[check], check, "exec"), namespace)
        finally:
            untyped(namespace["plt"]).close("all")


def test_the_bound_fails_a_weight_with_the_wrong_sign(notebook, tmp_path, monkeypatch):
    """A later check, on a trained model: importance weights that forget the density of q."""
    code = code_of(notebook)
    right = "log_p_x + log_p_z - log_normal(z, mu, log_var)"
    assert right in code["iwae"]
    code["iwae"] = code["iwae"].replace(right, "log_p_x + log_p_z")
    names = list(code)
    monkeypatch.setenv("VAEKIT_NOTEBOOK_FAST", "1")
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    namespace = {"__name__": "notebook"}
    with seeded(0):
        try:
            for name in names[: names.index("iwae-check")]:
                exec(compile(code[name], name, "exec"), namespace)
            with pytest.raises(AssertionError):
                exec(compile(code["iwae-check"], "iwae-check", "exec"), namespace)
        finally:
            untyped(namespace["plt"]).close("all")


def test_the_checker_finds_every_function_right_and_every_task_undone():
    report = check_file(NOTEBOOK, time_limit=120)
    assert {function.role: function.status for function in report.functions} == dict.fromkeys(ROLES, "right")
    undone = check_file(NOTEBOOK.with_name("VAE_exercise.ipynb"), time_limit=120)
    assert "right" not in {function.status for function in undone.functions}
    assert any("kl_loss: your turn" in finding.message for finding in undone.findings)
