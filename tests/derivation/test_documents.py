"""The page and the typeset paper say what the code computes: line by line, in order, under its labels."""

import doctest
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaekit.classroom.derivation import DERIVATION, SPECIAL_CASES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "explanation" / "gaussian-kl.md"
PAPER = DOCS / "derivation" / "gaussian_kl.tex"
LINE_BREAK = r"\right. \nonumber \\ &\qquad \left. {} "
STEPS = (*DERIVATION[:-1], *SPECIAL_CASES, DERIVATION[-1])


def formulas_of_page(text: str) -> dict[str, str]:
    """Each labelled formula's right-hand side, by label, in order of appearance."""
    found = re.findall(r"```\{math\}\n:label: (\S+)\n(.*?)```", text, flags=re.DOTALL)
    return {label: right_hand_side(body) for label, body in found}


def formulas_of_paper(text: str) -> dict[str, str]:
    body = "".join(re.findall(r"\\begin\{align\}(.*?)\\end\{align\}", text, flags=re.DOTALL))
    found = re.findall(r"&=(.*?)\\label\{(\S+?)\}", body, flags=re.DOTALL)
    return {label: right_hand_side("= " + formula) for formula, label in found}


def right_hand_side(formula: str) -> str:
    return " ".join(formula.split("=", 1)[1].split()).replace(LINE_BREAK, "")


@pytest.mark.parametrize(("document", "read"), [(PAGE, formulas_of_page), (PAPER, formulas_of_paper)])
def test_documents_hold_exactly_these_lines(document: Path, read) -> None:
    formulas = read(document.read_text())
    assert formulas == {step.key: " ".join(step.latex.split()) for step in STEPS}
    assert list(formulas) == [step.key for step in STEPS]


def test_code_of_the_page_runs() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted >= 6
    assert result.failed == 0


def test_numbers_of_the_page_are_right() -> None:
    text = PAGE.read_text()
    closed = DERIVATION[-2].value
    narrow, wide, zero = np.eye(1), 9 * np.eye(1), np.zeros(1)
    assert f"= {closed(zero, narrow, zero, wide):.3f}$" in text
    assert f"= {closed(zero, wide, zero, narrow):.3f}$" in text
    assert [np.isfinite(np.linalg.det(3 * np.eye(646))), 647 * math.log(3)] == [
        True,
        pytest.approx(711, abs=0.5),
    ]
    assert 647 * math.log(3) > math.log(sys.float_info.max) > 646 * math.log(3)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_paper_is_typeset(tmp_path: Path) -> None:
    command = [
        "pdflatex",
        "-interaction=nonstopmode",
        "-halt-on-error",
        f"-output-directory={tmp_path}",
        PAPER.name,
    ]
    log = ""
    for _ in range(2):
        done = subprocess.run(
            command, cwd=PAPER.parent, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:]
        log = done.stdout
    assert "Overfull" not in log
    assert (tmp_path / "gaussian_kl.pdf").stat().st_size > 20_000


def test_rows_of_the_paper_leave_room_for_their_numbers() -> None:
    text = PAPER.read_text()
    body = r" \\ ".join(re.findall(r"\\begin\{align\}(.*?)\\end\{align\}", text, flags=re.DOTALL))
    rows = [visible(row) for row in body.split(r"\\")]
    assert len(rows) >= 14
    assert max(map(len, rows)) <= 60, max(rows, key=len)
    in_one_row = visible("= " + formulas_of_paper(text)["trace"])
    assert len(in_one_row) > 60, "its number would stand in a line of its own"


def visible(row: str) -> str:
    """A row of a formula without what takes no room."""
    row = re.sub(
        r"\\label\{.*?\}|\\(left|right|nonumber|tfrac|frac|operatorname|qquad)\b|[{}&\s^_.]", "", row
    )
    return re.sub(r"\\[a-z]+", "x", row)
