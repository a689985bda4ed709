"""The closed form taken apart."""

import json

import numpy as np
import pytest

from vaekit.gaussian import Gaussian, explain, kl_divergence
from vaekit.gaussian.exceptions import GaussianShapeError, SingularCovarianceError


def pair():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(2, 3, 3))
    return (
        Gaussian(rng.normal(size=3), covariance=A @ A.T + np.eye(3)),
        Gaussian(rng.normal(size=3), covariance=B @ B.T + np.eye(3)),
    )


def test_terms_are_those_of_the_formula():
    p, q = pair()
    explanation = explain(p, q)
    P = np.linalg.inv(q.covariance)
    d = p.mean - q.mean
    expected = {
        "trace": np.trace(P @ p.covariance),
        "mahalanobis": d @ P @ d,
        "log_determinant": np.linalg.slogdet(q.covariance)[1] - np.linalg.slogdet(p.covariance)[1],
        "dimension": -3.0,
    }
    assert {t.name: pytest.approx(t.value, rel=1e-12) for t in explanation.terms} == expected
    assert explanation.value == kl_divergence(p, q)
    assert explanation.textbook == pytest.approx(explanation.value, rel=1e-12)
    assert sum(part.value for part in explanation.parts) == pytest.approx(explanation.value, rel=1e-12)
    assert all(part.value >= 0 for part in explanation.parts)


def test_every_term_stands_in_the_line_it_names():
    terms = explain(*pair()).terms
    for term in terms:
        formula = {"trace": "tr(S_q^-1 S_p)", "dimension": "- k"}.get(term.name, term.formula)
        assert formula in term.text
    assert [t.line for t in terms] == ["closed-form", "closed-form", "constants", "own-covariance"]
    # How many expectations are left tells the lines apart.
    assert [t.text.count("E_p[") for t in terms] == [0, 0, 2, 1]


def test_close_gaussians_show_what_cancels():
    q = Gaussian([0.0, 0.0], covariance=[[2.0, 0.5], [0.5, 1.0]])
    p = Gaussian([0.0, 0.0], covariance=q.covariance * (1 + 1e-10))
    explanation = explain(p, q)
    assert explanation.value == pytest.approx(0.5e-20, rel=1e-5)
    assert explanation.parts[1].value == pytest.approx(0.5e-20, rel=1e-5)
    assert abs(explanation.textbook - explanation.value) >= explanation.value


def test_prints_and_serialises():
    explanation = explain(([2.0], [[1.0]]), ([0.0], [[4.0]]))
    text = str(explanation)
    for term in (*explanation.terms, *explanation.parts):
        assert term.formula in text
        assert f"{term.value:+.12g}" in text
    document = json.loads(json.dumps(explanation.as_dictionary()))
    assert document["value"] == explanation.value
    assert [t["name"] for t in document["terms"]] == ["trace", "mahalanobis", "log_determinant", "dimension"]


def test_batches_and_singular_covariances_are_refused():
    p, q = pair()
    with pytest.raises(GaussianShapeError, match=r"q is a batch of shape \(2,\).*try q\[0\]"):
        explain(p, Gaussian(np.zeros((2, 3)), scale=1.0))
    with pytest.raises(SingularCovarianceError, match="covariance of p is singular"):
        explain(Gaussian(np.zeros(3), variance=[1.0, 0.0, 1.0]), q)
