"""Every way to write the divergence passes, and every way to write each mistake is named."""

from collections.abc import Callable
from itertools import product

import pytest

from vaekit.classroom import CheckReport

SPREADS = {  # name of the argument: (variance, log-variance)
    "log_var": ("{lib}.exp(log_var)", "log_var"),
    "log_std": ("{lib}.exp(2 * log_std)", "2 * log_std"),
    "var": ("var", "{lib}.log(var)"),
    "std": ("std**2", "2 * {lib}.log(std)"),
}
REDUCTIONS = {
    "sum": "{lib}.sum({terms})",
    "mean over the batch": "{lib}.sum({terms}) / len(mu)",
    "per example": "({terms}).sum(1)",
    "mean of sums": "{lib}.mean(({terms}).sum(-1))",
    "per element": "{terms}",
}
FORMS = {
    (): "0.5 * (mu**2 + {v} - 1 - {lv})",
    ("missing-half",): "(mu**2 + {v} - 1 - {lv})",
    ("missing-k",): "0.5 * (mu**2 + {v} - {lv})",
    ("sign",): "0.5 * (1 + {lv} - mu**2 - {v})",
    ("missing-term",): "0.5 * (mu**2 + {v} - 1)",
}


@pytest.mark.parametrize(("mistakes", "spread"), list(product(FORMS, SPREADS)))
def test_the_grid(check: Callable[..., CheckReport], mistakes: tuple[str, ...], spread: str) -> None:
    for lib, reduction in product(("torch", "np"), REDUCTIONS.values()):
        v, lv = (text.format(lib=lib) for text in SPREADS[spread])
        value = reduction.format(lib=lib, terms=FORMS[mistakes].format(v=v, lv=lv))
        for arguments in (f"mu, {spread}", f"{spread}, mu"):
            report = check(f"def kl_loss({arguments}):\n    return {value}\n")
            assert report.mistakes == mistakes, (value, report.findings)
