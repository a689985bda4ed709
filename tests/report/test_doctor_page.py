"""The page of a diagnosis, and the checks at a glance in the report of a fit."""

import numpy as np
import pytest

from vaekit import VariationalAutoencoder, diagnose
from vaekit.data import from_object
from vaekit.jobs import Diagnosis
from vaekit.report import render_diagnosis, render_report

COLUMNS = 30


@pytest.fixture(scope="module")
def ill() -> tuple[VariationalAutoencoder, np.ndarray]:
    """A model of columns of which the second is two values that a Gaussian cannot describe."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 1)) + rng.normal(size=(500, COLUMNS))
    x[:, 1] = 3 * rng.choice([-1, 1], size=500) + 0.1 * rng.normal(size=500)
    vae = VariationalAutoencoder(
        1, likelihood="gaussian:scale=per-dimension", network="mlp:hidden=8", epochs=15
    )
    return vae.set_params(random_state=0).fit(x[:300]), x[300:]


def test_the_page_shows_findings_and_the_worst_columns(ill):
    vae, x = ill
    found = diagnose(vae, x, quick=True)
    assert [each.column for each in found.calibration] == [f"x{j}" for j in range(COLUMNS)]
    page = render_diagnosis(found, name="ill", source="<rows>", split="test")
    assert page == render_diagnosis(found, name="ill", source="<rows>", split="test")
    assert "&lt;rows&gt;" in page
    assert page.count("<svg") == 24
    assert "The 24 worst of 30 columns" in page
    assert page.index("x1: F(x)") < page.index("x0: F(x)")  # the worst first
    assert found.findings[0].title.partition(" (")[0] in page
    assert "<script" not in page


def test_a_healthy_page_says_so():
    page = render_diagnosis(
        Diagnosis([], ["all is even"], ["the rest: no data"], 50), name="a", source="b", split="c"
    )
    assert "Nothing was found" in page
    assert "<li>All is even.</li>" in page
    assert "<svg" not in page


def test_the_report_has_checks_at_a_glance(ill):
    vae, x = ill
    shown = from_object(x)
    page = render_report(vae, vae.to_artifact({}), shown, {})
    assert page == render_report(vae, vae.to_artifact({}), shown, {})
    section = page.partition('<section id="checks">')[2].partition("</section>")[0]
    assert "not calibrated: x1 (" in section
    assert section.count("<svg") == 6
    assert "vaekit fit-prior NAME.vae DATA" in section


def test_the_report_has_none_of_few_rows_or_images(ill):
    vae, x = ill
    assert 'id="checks"' not in render_report(vae, vae.to_artifact({}), from_object(x[:30]), {})
    assert 'id="checks"' not in render_report(vae, vae.to_artifact({}), None, {})


def test_coverage_and_bars_are_those_of_the_transform():
    """Of a true model u is even; of one that is twice as wide it lies in the middle."""
    import torch
    from torch.distributions import Independent, Normal

    from vaekit.conformance import ThreeCallables

    def wide(scale: float) -> ThreeCallables:
        return ThreeCallables(
            encode=lambda x: Independent(Normal(torch.zeros(len(x), 1), 1.0), 1),
            prior=Independent(Normal(torch.zeros(1), 1.0), 1),
            decode=lambda z: Independent(Normal(torch.zeros(len(z), 1), scale), 1),
        )

    x = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))
    (true,) = diagnose(wide(1.0), x, quick=True).calibration
    assert max(true.shares) < 0.14
    assert true.coverage["50%"].mean == pytest.approx(0.5, abs=4 * true.coverage["50%"].standard_error)
    (other,) = diagnose(wide(2.0), x, quick=True).calibration
    # |x| < 0.6745 * 2 has the probability erf(0.954)
    expected = float(torch.erf(torch.tensor(0.6745 * 2 / 2**0.5)))
    assert other.coverage["50%"].mean == pytest.approx(expected, abs=0.05)
    assert other.rows == 1000
    assert sum(other.shares) == pytest.approx(1.0)
