"""Every mistake is named, precisely: this one and no other."""

# ruff: noqa: E501  an example a line

from collections.abc import Callable

import pytest

from vaekit.classroom import CheckReport

Check = Callable[..., CheckReport]

FAULTS: list[tuple[str, str, str]] = [
    # sample_z
    ("noise-shared-by-batch", "sample_z", "lambda mu, log_var: mu + torch.exp(log_var / 2) * torch.randn(mu.shape[1])"),
    ("noise-shared-by-batch", "sample_z", "lambda mu, log_var: mu + np.exp(log_var / 2) * np.random.randn(1, mu.shape[1])"),
    ("noise-shared-by-batch", "sample_z", "lambda mu, log_var: mu + torch.exp(log_var / 2) * torch.randn(1)"),
    ("noise-shared-by-dimensions", "sample_z", "lambda mu, log_var: mu + torch.exp(log_var / 2) * torch.randn(len(mu), 1)"),
    ("noise-absent", "sample_z", "lambda mu, log_var: mu + torch.exp(log_var / 2) * torch.zeros_like(mu)"),
    (
        "noise-repeated",
        "sample_z",
        "lambda mu, log_var: mu + np.exp(log_var / 2) * np.random.default_rng(0).normal(size=mu.shape)",
    ),
    ("noise-not-standard-normal", "sample_z", "lambda mu, log_var: mu + torch.exp(log_var / 2) * torch.rand_like(mu)"),
    ("noise-without-gradient", "sample_z", "lambda mu, log_var: torch.normal(mu.detach(), torch.exp(log_var / 2).detach())"),
    ("noise-without-gradient", "sample_z", "lambda mu, log_var: torch.distributions.Normal(mu, (log_var / 2).exp()).sample()"),
    ("noise-without-gradient", "sample_z", "lambda mu, log_var: mu + torch.exp(log_var.data / 2) * torch.randn_like(mu)"),
    ("noise-without-gradient", "sample_z", "lambda mu, log_var: mu.detach() + torch.exp(log_var / 2) * torch.randn_like(mu)"),
    ("spread-mixed-up", "sample_z", "lambda mu, log_var: mu + torch.exp(log_var) * torch.randn_like(mu)"),
    ("spread-mixed-up", "sample_z", "lambda mu, log_var: mu + log_var * torch.randn_like(mu)"),
    ("spread-mixed-up", "sample_z", "lambda mu, var: mu + var * np.random.randn(*mu.shape)"),
    ("spread-mixed-up", "sample_z", "lambda mu, std: mu + torch.sqrt(std) * torch.randn_like(mu)"),
    ("spread-mixed-up", "sample_z", "lambda mu, std: mu + torch.exp(std / 2) * torch.randn_like(mu)"),
    ("sign", "sample_z", "lambda mu, log_var: mu + torch.exp(-log_var / 2) * torch.randn_like(mu)"),
    ("missing-term", "sample_z", "lambda mu, log_var: torch.exp(log_var / 2) * torch.randn_like(mu)"),
    ("missing-term", "sample_z", "lambda mu, log_var: mu + torch.randn_like(mu) + 0 * log_var"),
    ("wrong-shape", "sample_z", "lambda mu, log_var: (mu + torch.exp(log_var / 2) * torch.randn_like(mu)).T"),
    # kl_loss
    ("missing-half", "kl_loss", "lambda mu, log_var: (mu**2 + log_var.exp() - 1 - log_var).sum(1).mean()"),
    ("missing-half", "kl_loss", "lambda mu, log_var: -np.sum(1 + log_var - mu**2 - np.exp(log_var))"),
    ("missing-k", "kl_loss", "lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - log_var).sum(1)"),
    ("missing-k", "kl_loss", "lambda mu, log_var: 0.5 * ((mu**2 + log_var.exp() - log_var).sum(1) - 1)"),
    ("sign", "kl_loss", "lambda mu, log_var: 0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(1).mean()"),
    ("sign", "kl_loss", "lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 + log_var).sum(1).mean()"),
    ("sign", "kl_loss", "lambda mu, log_var: -0.5 * np.sum(1 + log_var + mu**2 - np.exp(log_var), axis=1)"),
    ("spread-mixed-up", "kl_loss", "lambda mu, log_var: 0.5 * (mu**2 + (2 * log_var).exp() - 1 - log_var).sum(1)"),
    ("spread-mixed-up", "kl_loss", "lambda mu, log_var: 0.5 * (mu**2 + log_var**2 - 1 - torch.log(log_var**2)).sum(1)"),
    ("spread-mixed-up", "kl_loss", "lambda mu, std: 0.5 * np.sum(mu**2 + std - 1 - np.log(std**2), axis=1)"),
    ("spread-mixed-up", "kl_loss", "lambda mu, std: 0.5 * np.sum(mu**2 + np.exp(std) - 1 - std, axis=1)"),
    ("mean-for-sum", "kl_loss", "lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).mean()"),
    ("mean-for-sum", "kl_loss", "lambda mu, log_var: 0.5 * np.mean(mu**2 + np.exp(log_var) - 1 - log_var, axis=1)"),
    ("mean-not-squared", "kl_loss", "lambda mu, log_var: 0.5 * (mu + log_var.exp() - 1 - log_var).sum(1)"),
    ("missing-term", "kl_loss", "lambda mu, log_var: 0.5 * (log_var.exp() - 1 - log_var).sum(1)"),
    ("wrong-shape", "kl_loss", "lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(0)"),
    ("no-gradient", "kl_loss", "lambda mu, log_var: (0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum()).item()"),
    (
        "kl-below-zero",
        "kl_loss",
        "lambda mu, log_var: (lambda e: 0.5 * ((mu + (log_var / 2).exp() * e)**2 - e**2 - log_var).sum(1))(torch.randn_like(mu))",
    ),
    ("kl-below-zero", "kl_loss", "lambda mu, log_var: np.sum(np.sin(9 * mu) + np.exp(log_var) - 1 - log_var**2, axis=1)"),
    ("wrong-value", "kl_loss", "lambda mu, log_var: np.sum(np.abs(mu)**3 + np.exp(log_var), axis=1)"),
    # recon_loss
    ("mean-for-sum", "recon_loss", "lambda x_hat, x: F.binary_cross_entropy(x_hat, x)"),
    ("mean-for-sum", "recon_loss", "lambda x_hat, x: F.mse_loss(x_hat, x)"),
    ("mean-for-sum", "recon_loss", "lambda x, x_hat: np.mean((x - x_hat)**2, axis=1)"),
    ("logits-as-probabilities", "recon_loss", "lambda logits, x: F.binary_cross_entropy(logits, x, reduction='sum')"),
    ("probabilities-as-logits", "recon_loss", "lambda probs, x: F.binary_cross_entropy_with_logits(probs, x, reduction='sum')"),
    (
        "probabilities-as-logits",
        "recon_loss",
        "lambda logits, x: F.binary_cross_entropy_with_logits(torch.sigmoid(logits), x, reduction='sum')",
    ),
    ("arguments-exchanged", "recon_loss", "lambda x_hat, x: F.binary_cross_entropy(x, x_hat, reduction='sum')"),
    ("sign", "recon_loss", "lambda x_hat, x: np.sum(x * np.log(x_hat) + (1 - x) * np.log(1 - x_hat), axis=1)"),
    ("missing-term", "recon_loss", "lambda x_hat, x: -np.sum(x * np.log(x_hat), axis=1)"),
    ("wrong-value", "recon_loss", "lambda x_hat, x: np.sum(np.cos(x_hat - x), axis=1)"),
    # vae_loss
    *[
        (code, "vae_loss", f"lambda recon_x, x, mu, logvar: {expression}")
        for code, expression in [
            ("missing-half", "BCE(recon_x, x) + KL(mu, logvar) * 2"),
            ("missing-term", "BCE(recon_x, x) + 0 * mu.sum()"),
            ("wrong-value", "KL(mu, logvar) + 0 * (recon_x - x).sum()"),
            ("sign", "BCE(recon_x, x) - KL(mu, logvar)"),
            ("sign", "-(BCE(recon_x, x) + KL(mu, logvar))"),
            ("mean-for-sum", "F.binary_cross_entropy(recon_x, x) + KL(mu, logvar) / len(x)"),
            ("mean-for-sum", "F.mse_loss(recon_x, x) + 0.1 * KL(mu, logvar) / len(x)"),
            ("mean-for-sum", "BCE(recon_x, x) / len(x) + (0.5 * (mu**2 + logvar.exp() - 1 - logvar)).mean()"),
            ("batch-reductions-differ", "BCE(recon_x, x) + KL(mu, logvar) / len(x)"),
            ("missing-k", "BCE(recon_x, x) + 0.5 * (mu**2 + logvar.exp() - logvar).sum()"),
            ("spread-mixed-up", "BCE(recon_x, x) + 0.5 * (mu**2 + (2 * logvar).exp() - 1 - 2 * logvar).sum()"),
            ("arguments-exchanged", "BCE(x, recon_x) + KL(mu, logvar)"),
        ]
    ],
    # kl_gaussians
    *[
        (code, "kl_gaussians", f"lambda m1, S1, m2, S2: 0.5 * ({expression})")
        for code, expression in [
            ("missing-half", "2 * (tr(inv(S2) @ S1) + (m2 - m1) @ inv(S2) @ (m2 - m1) - len(m1) + ld(S2) - ld(S1))"),
            ("missing-half", "tr(inv(S2) @ S1) + (m2 - m1) @ inv(S2) @ (m2 - m1) - len(m1) + 2 * (ld(S2) - ld(S1))"),
            ("missing-k", "tr(inv(S2) @ S1) + (m2 - m1) @ inv(S2) @ (m2 - m1) + ld(S2) - ld(S1)"),
            ("missing-k", "tr(inv(S2) @ S1) + (m2 - m1) @ inv(S2) @ (m2 - m1) - 1 + ld(S2) - ld(S1)"),
            ("sign", "tr(inv(S2) @ S1) + (m2 - m1) @ inv(S2) @ (m2 - m1) - len(m1) + ld(S1) - ld(S2)"),
            ("sign", "tr(inv(S2) @ S1) - (m2 - m1) @ inv(S2) @ (m2 - m1) - len(m1) + ld(S2) - ld(S1)"),
            ("covariances-exchanged", "tr(inv(S1) @ S2) + (m2 - m1) @ inv(S1) @ (m2 - m1) - len(m1) + ld(S1) - ld(S2)"),
            ("covariances-exchanged", "tr(inv(S1) @ S2) + (m2 - m1) @ inv(S2) @ (m2 - m1) - len(m1) + ld(S2) - ld(S1)"),
            ("covariances-exchanged", "tr(inv(S2) @ S1) + (m2 - m1) @ inv(S1) @ (m2 - m1) - len(m1) + ld(S2) - ld(S1)"),
            ("covariance-not-inverted", "tr(S2 @ S1) + (m2 - m1) @ inv(S2) @ (m2 - m1) - len(m1) + ld(S2) - ld(S1)"),
            ("covariance-not-inverted", "tr(inv(S2) @ S1) + (m2 - m1) @ S2 @ (m2 - m1) - len(m1) + ld(S2) - ld(S1)"),
            ("covariance-not-inverted", "tr(S2 @ S1) + (m2 - m1) @ S2 @ (m2 - m1) - len(m1) + ld(S2) - ld(S1)"),
            ("missing-term", "tr(inv(S2) @ S1) - len(m1) + ld(S2) - ld(S1)"),
            (
                "determinant-overflow",
                "tr(inv(S2) @ S1) + (m2 - m1) @ inv(S2) @ (m2 - m1) - len(m1) + np.log(det(S2) / det(S1))",
            ),
            (
                "determinant-overflow",
                "tr(inv(S2) @ S1) + (m2 - m1) @ inv(S2) @ (m2 - m1) - len(m1) + np.log(det(S2)) - np.log(det(S1))",
            ),
            ("kl-below-zero", "tr(S1) - tr(S2) + (m2 - m1) @ (m2 - m1)"),
            ("wrong-value", "tr(S1 @ S1) + (m2 - m1) @ (m2 - m1)"),
            ("wrong-shape", "inv(S2) @ S1"),
        ]
    ],
]  # fmt: skip

HELPERS = """
tr, inv, det = np.trace, np.linalg.inv, np.linalg.det
ld = lambda S: np.linalg.slogdet(S)[1]
def BCE(a, b): return F.binary_cross_entropy(a, b, reduction="sum")
def KL(mu, logvar): return 0.5 * torch.sum(mu**2 + logvar.exp() - 1 - logvar)
"""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("code", "role", "function"), FAULTS, ids=[f"{f[1]}-{f[0]}-{i}" for i, f in enumerate(FAULTS)]
)
def test_the_mistake_is_named(check: Check, code: str, role: str, function: str) -> None:
    helpers = HELPERS.replace("def KL", "def my_KL").replace("def BCE", "def my_BCE")
    helpers += "BCE, KL = my_BCE, my_KL\n"
    report = check(f"{helpers}{role} = {function}\n")
    assert report.mistakes == (code,), report.findings
    found = next(finding for finding in report.findings if finding.code == code)
    assert found.function == role
    assert found.where is not None
    assert len(found.message) > 20
    assert [function.status for function in report.functions if function.role == role] == ["wrong"]


def test_two_mistakes_are_both_named(check: Check) -> None:
    report = check("kl_loss = lambda mu, log_var: (mu**2 + log_var.exp() - log_var).sum(1)\n")
    assert set(report.mistakes) == {"missing-half", "missing-k"}


def test_beta_and_variance_are_named(check: Check) -> None:
    gaussian = check("recon_loss = lambda x_hat, x: F.mse_loss(x_hat, x)\n").findings[0].message
    assert "decoder variance D/2, 392 for MNIST" in gaussian
    bernoulli = check("recon_loss = lambda x_hat, x: F.binary_cross_entropy(x_hat, x)\n").findings[0].message
    assert "beta = D, 784 for MNIST" in bernoulli


def test_functions_that_disagree_about_the_spread(check: Check) -> None:
    report = check("""
def sample_z(mu, log_sigma): return mu + torch.exp(log_sigma) * torch.randn_like(mu)
def kl_loss(mu, log_sigma): return 0.5 * (mu**2 + log_sigma.exp() - 1 - log_sigma).sum(1)
""")
    assert report.mistakes == ("spread-mixed-up",)
    assert "one encoder output cannot be both" in report.findings[0].message


def test_terms_reduced_in_different_ways(check: Check) -> None:
    terms = """
def recon_loss(x_hat, x): return F.binary_cross_entropy(x_hat, x, reduction="sum")
def kl_loss(mu, log_var): return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1).mean()
"""
    report = check(terms)
    assert report.mistakes == ("batch-reductions-differ",)
    assert "beta = 1/B" in report.findings[0].message
    mended = (
        "def vae_loss(x_hat, x, mu, log_var): return recon_loss(x_hat, x) / len(x) + kl_loss(mu, log_var)\n"
    )
    assert check(terms + mended).ok


def test_a_mistake_is_told_once_where_it_is_made(check: Check) -> None:
    report = check("""
def recon_loss(x_hat, x): return F.binary_cross_entropy(x_hat, x, reduction="sum") / len(x)
def kl_loss(mu, log_var): return (mu**2 + log_var.exp() - 1 - log_var).sum(1).mean()
def vae_loss(x_hat, x, mu, log_var): return recon_loss(x_hat, x) + kl_loss(mu, log_var)
""")
    assert [(f.function, f.code) for f in report.findings] == [("kl_loss", "missing-half")]


@pytest.mark.parametrize(
    ("decoder", "loss", "codes"),
    [
        ("torch.sigmoid(self.net(z))", "binary_cross_entropy", ()),
        ("torch.sigmoid(self.net(z))", "binary_cross_entropy_with_logits", ("probabilities-as-logits",)),
        ("self.to_logits(z)", "binary_cross_entropy", ("logits-as-probabilities",)),
        ("self.to_logits(z)", "binary_cross_entropy_with_logits", ()),
    ],
)
def test_the_decoder_says_what_the_loss_is_given(check: Check, decoder: str, loss: str, codes: tuple) -> None:
    report = check(f"""
class VAE(nn.Module):
    def decode(self, z): return {decoder}
def recon_loss(x_hat, x): return F.{loss}(x_hat, x, reduction="sum")
""")
    assert report.mistakes == codes


def test_a_right_loss_excuses_only_the_parts_it_calls(check: Check) -> None:
    report = check("""
def kl_loss(mu, log_var): return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).mean()
def vae_loss(x_hat, x, mu, log_var):
    kl = 0.5 * torch.sum(mu**2 + log_var.exp() - 1 - log_var)
    return F.binary_cross_entropy(x_hat, x, reduction="sum") + kl
""")
    assert [(f.function, f.code) for f in report.findings] == [("kl_loss", "mean-for-sum")]


def test_images_averaged_over_pixels(check: Check) -> None:
    report = check(
        "def recon_loss(x_hat, x): return F.mse_loss(x_hat, x, reduction='none').mean((1, 2, 3))\n"
    )
    assert report.mistakes == ("mean-for-sum",)


def test_numpy_told_by_its_generator(check: Check) -> None:
    report = check("""
rng = np.random.default_rng()
def sample_z(mu, std): return mu + std**0.5 * rng.normal(size=mu.shape)
""")
    assert report.mistakes == ("spread-mixed-up",)
