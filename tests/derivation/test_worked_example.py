"""The worked example in two dimensions: every matrix and number in both documents, by the package and by mpmath."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import mpmath
import pytest
from numpy.polynomial.hermite_e import hermegauss

from vaekit.classroom.derivation import derive
from vaekit.gaussian import Gaussian, kl_divergence

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENTS = [DOCS / "explanation" / "gaussian-kl.md", DOCS / "derivation" / "gaussian_kl.tex"]


def matrices(document: Path) -> dict[str, Any]:
    """Every matrix that is written out, by the expression before its equals sign."""
    text = document.read_text()
    found = re.findall(r"([^=$,\[\]]*?) = \\begin\{pmatrix\}(.*?)\\end\{pmatrix\}", text, flags=re.DOTALL)
    read = {}
    for name, body in found:
        rows = [[mpmath.mpf(entry.strip()) for entry in row.split("&")] for row in body.split(r"\\")]
        read[name.replace(r"\quad", "").strip()] = mpmath.matrix(rows)
    return read


def divergence(m_p, S_p, m_q, S_q) -> Any:
    """Integrate p log(p / q) over the plane by Gauss and Hermite's rule, where p is standard normal."""
    L, ratio = mpmath.cholesky(S_p), mpmath.log(mpmath.det(S_q) / mpmath.det(S_p)) / 2
    inverse, total = S_q**-1, mpmath.mpf(0)
    nodes = list(zip(*(map(float, part) for part in hermegauss(6)), strict=True))
    for (s, weight_s), (t, weight_t) in product(nodes, nodes):
        x = m_p + L * mpmath.matrix([s, t]) - m_q
        gap = ratio - (s * s + t * t) / 2 + (x.T * inverse * x)[0] / 2
        total += weight_s * weight_t * gap / (2 * mpmath.pi)
    return total


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_matrices_and_numbers_are_right(document: Path) -> None:
    found = matrices(document)
    m_p, S_p, m_q, S_q = (found[name] for name in ("m_p", "S_p", "m_q", "S_q"))
    L_p, L_q = mpmath.cholesky(S_p), mpmath.cholesky(S_q)
    expected = {
        "S_q^{-1}": S_q**-1,
        "S_q^{-1} S_p": S_q**-1 * S_p,
        "m_p - m_q": m_p - m_q,
        "S_q^{-1} (m_p - m_q)": S_q**-1 * (m_p - m_q),
        "L_p": L_p,
        "L_q": L_q,
        "A": L_q**-1 * L_p,
        "b": L_q**-1 * (m_p - m_q),
    }
    assert found.keys() == expected.keys() | {"m_p", "S_p", "m_q", "S_q"}
    for name, value in expected.items():
        assert mpmath.norm(found[name] - value) < 1e-12, name

    there, back = 3 - mpmath.log(2), 1 + mpmath.log(2)
    assert divergence(m_p, S_p, m_q, S_q) == pytest.approx(float(there), rel=1e-12)
    assert divergence(m_q, S_q, m_p, S_p) == pytest.approx(float(back), rel=1e-12)
    text = document.read_text()
    assert text.count(f"3 - \\log 2 = {float(there):.6f}") == 2
    assert text.count(f"1 + \\log 2 = {float(back):.6f}") == 1
    assert f"= -\\log 4 = {-float(mpmath.log(4)):.6f}" in text
    p, q = (
        ([float(v) for v in m], [[float(S[i, j]) for j in range(2)] for i in range(2)])
        for m, S in ((m_p, S_p), (m_q, S_q))
    )
    for step, value in derive(*p, mean_q=q[0], cov_q=q[1]):
        assert value == pytest.approx(float(there), rel=1e-13), step.key
    for a, b, truth in ((p, q, there), (q, p, back)):
        pair = (Gaussian(mean, covariance=covariance) for mean, covariance in (a, b))
        assert float(kl_divergence(*pair)) == pytest.approx(float(truth), rel=1e-15)
