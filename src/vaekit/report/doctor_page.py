"""The page of a diagnosis, with a picture of the calibration of each column, and a section of the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaekit.errors import DataError, UsageError
from vaekit.jobs import Diagnosis, diagnose
from vaekit.plots import calibration_histogram
from vaekit.report.drawing import drawn_panel, panel, theme
from vaekit.report.page_templates import page_templates
from vaekit.report.scene import Picture
from vaekit.report.verdict import Notice
from vaekit.runtime.surroundings import usual_surroundings

if TYPE_CHECKING:
    from vaekit.data import Dataset
    from vaekit.estimator import VariationalAutoencoder
    from vaekit.jobs.diagnosis.diagnosis import ColumnCalibration

__all__ = ["quick_checks", "render_diagnosis"]

_PANELS = 24
_PANELS_OF_REPORT = 6
_ROWS_OF_REPORT = 400  # which keep the section below a second


@dataclass(frozen=True)
class _Checks:
    """The checks at a glance: findings as notices, what is in order, and pictures of calibration."""

    notices: list[Notice]
    passed: list[str]
    pictures: list[Picture]
    left: int


@usual_surroundings()
def render_diagnosis(diagnosis: Diagnosis, *, name: str, source: str, split: str) -> str:
    """Return one self-contained HTML page about a diagnosis, without scripts and without files to load.

    Parameters
    ----------
    diagnosis
        What :func:`vaekit.diagnose` has found.
    name, source, split
        The names of the model, of the data, and of the part that was looked at.

    Returns
    -------
    str
        The page, as HTML. The same arguments give the same page.
    """
    with theme():
        pictures = _pictures(diagnosis.calibration, _PANELS)
    return (
        page_templates()
        .get_template("doctor.html.jinja")
        .render(
            name=name,
            source=source,
            split=split,
            rows=diagnosis.rows,
            notices=_notices(diagnosis),
            passed=diagnosis.passed,
            not_checked=diagnosis.not_checked,
            pictures=pictures,
            columns=diagnosis.calibration,
            left=len(diagnosis.calibration) - len(pictures),
        )
    )


def quick_checks(estimator: "VariationalAutoencoder", shown: "Dataset | None") -> _Checks | None:
    """Return what the doctor sees at a glance of a table's held-out rows; None where there is nothing to see."""
    if shown is None or estimator.schema_.kind != "table" or not estimator.model_.has_log_likelihood:
        return None
    few = shown.take(list(range(min(len(shown), _ROWS_OF_REPORT))))
    try:
        found = diagnose(estimator, few, quick=True)
    except (DataError, UsageError):  # few rows, or rows without probability, of which the numbers tell
        return None
    if not found.calibration:
        return None
    with theme():
        pictures = _pictures(found.calibration, _PANELS_OF_REPORT)
    notices = [Notice("caution", each.title, each.text, list(each.advice)) for each in found.findings]
    return _Checks(notices, list(found.passed), pictures, len(found.calibration) - len(pictures))


def _notices(diagnosis: Diagnosis) -> list[Notice]:
    if diagnosis.healthy:
        return [
            Notice(
                "good", "Nothing was found that is wrong with the model", "What was looked at stands below."
            )
        ]
    return [Notice("bad", each.title, each.text, list(each.advice)) for each in diagnosis.findings]


def _pictures(columns: "Sequence[ColumnCalibration]", most: int) -> list[Picture]:
    """Draw the calibration of columns, the worst first."""
    pictures = []
    for i, each in enumerate(sorted(columns, key=lambda column: -column.gain.mean)[:most]):
        ax = calibration_histogram(each.shares, each.rows, name=each.column, ax=panel())
        told = " / ".join(f"{100 * covered.mean:.0f}" for covered in each.coverage.values()) + "%"
        alt = f"Histogram of F(x) of {each.column}; its central 50, 90 and 99% intervals hold {told} of the values."
        pictures.append(Picture(drawn_panel(ax, f"calibration-{i}", alt), told))
    return pictures
