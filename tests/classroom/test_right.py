"""Right functions pass, in every style.

torch or NumPy; log-variances, variances or standard deviations; sums, means over the batch or one value per example;
probabilities or logits; functions or methods; any order of arguments.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from vaekit.classroom import ROLES, CheckReport

Check = Callable[..., CheckReport]

TORCH = """
def sample_z(mu, log_var):
    return mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)

def kl_loss(mu, log_var):
    return -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp(), dim=1).mean()

def recon_loss(x_logits, x):
    return F.binary_cross_entropy_with_logits(x_logits, x, reduction="none").sum(dim=1).mean()

def vae_loss(x_logits, x, mu, log_var):
    return recon_loss(x_logits, x) + kl_loss(mu, log_var)

def kl_gaussians(m1, S1, m2, S2):
    p = torch.distributions.MultivariateNormal(m1, S1)
    q = torch.distributions.MultivariateNormal(m2, S2)
    return torch.distributions.kl_divergence(p, q)
"""

NUMPY = """
rng = np.random.default_rng(0)

def sample_z(mean, std):
    return mean + std * rng.standard_normal(mean.shape)

def kl_loss(mean, std):
    '''One value per example.'''
    return 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std)).sum(axis=1)

def recon_loss(x, p):
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)

def vae_loss(x, p, mean, std):
    return recon_loss(x, p) + kl_loss(mean, std)

def kl_gaussians(mu1, mu2, Sigma1, Sigma2):
    '''By Cholesky factors.'''
    L1, L2 = np.linalg.cholesky(Sigma1), np.linalg.cholesky(Sigma2)
    A, b = np.linalg.solve(L2, L1), np.linalg.solve(L2, mu2 - mu1)
    logs = np.log(np.diag(L2)).sum() - np.log(np.diag(L1)).sum()
    return 0.5 * ((A**2).sum() + b @ b - len(mu1)) + logs
"""

CLASS = """
class VAE(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.fc4 = nn.Linear(hidden, 784)

    def reparameterize(self, mu, logvar):
        if self.training:
            std = torch.exp(0.5 * logvar)
            eps = torch.randn_like(std)
            return mu + eps * std
        return mu

    def decode(self, z):
        return torch.sigmoid(self.fc4(z))

    @staticmethod
    def kld(mu, logvar):
        return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())

def bce(recon_x, x):
    return F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")

def loss_function(recon_x, x, mu, logvar, beta=1.0):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    KLD = VAE.kld(mu, logvar)
    return BCE + beta * KLD, BCE, KLD

def kl_mvn(m_p, S_p, m_q, S_q):
    '''Column vectors.'''
    d = m_q - m_p
    inverse = torch.inverse(S_q)
    square = (d.T @ inverse @ d)[0, 0]
    return 0.5 * (torch.trace(inverse @ S_p) + square - d.shape[0] + torch.logdet(S_q) - torch.logdet(S_p))
"""


@pytest.mark.parametrize("code", [TORCH, NUMPY, CLASS], ids=["torch", "numpy", "class"])
def test_a_right_file_passes(check: Check, code: str) -> None:
    report = check(code)
    assert report.ok, report.findings
    assert {function.role: function.status for function in report.functions} == dict.fromkeys(ROLES, "right")
    assert report.missing == ()


STYLES = {
    "sample_z": [
        "lambda mu, sigma: torch.distributions.Normal(mu, sigma).rsample()",
        "lambda log_var, mu: mu + torch.exp(log_var / 2) * torch.randn(mu.shape)",
        "lambda mu, var: mu + np.sqrt(var) * np.random.normal(size=mu.shape)",
        "lambda mu, log_sigma: mu + torch.exp(log_sigma) * torch.randn_like(mu)",
        "lambda mu, logvar: torch.randn(*mu.size()) * logvar.mul(0.5).exp() + mu",
        "lambda a, b: a + torch.exp(b / 2) * torch.randn_like(a)",
        "lambda mu, log_var: mu + torch.exp(log_var / 2) * torch.randn(mb_size, Z_dim)",
    ],
    "kl_loss": [
        "lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var)",
        "lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1, keepdim=True)",
        "lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum() / len(mu)",
        "lambda log_var, mu: 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var)",
        "lambda a, b: 0.5 * (a**2 + b.exp() - 1 - b).sum(1)",
        "lambda mu, sigma: torch.distributions.kl_divergence(torch.distributions.Normal(mu, sigma), "
        "torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(1)",
        "lambda mu, var: 0.5 * np.mean(np.sum(mu**2 + var - 1 - np.log(var + 1e-10), axis=1))",
        "lambda mu, log_std: 0.5 * (mu**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(1).mean(0)",
        "lambda mu, log_var, beta: beta * 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1).mean(0)",
        "lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum() / mb_size",
        "lambda mu, log_var: 0.5 * (mu.float()**2 + log_var.float().exp() - 1 - log_var.float()).sum()",
    ],
    "recon_loss": [
        "lambda x, x_hat: F.binary_cross_entropy(x_hat, x, reduction='sum') / x.shape[0]",
        "lambda a, b: F.binary_cross_entropy(b, a, reduction='none').sum(1)",
        "lambda recon, target: 0.5 * np.sum((recon - target)**2, axis=1)",
        "lambda x_hat, x: F.mse_loss(x_hat, x, reduction='sum')",
        "lambda x_hat, x: 0.5 * ((x_hat - x)**2 + np.log(2 * np.pi)).sum(1).mean()",
        "lambda x_hat, x: np.abs(x_hat - x).sum(axis=1).mean()",
        "lambda logits, x: (F.softplus(logits) - x * logits).sum()",
        "lambda recon_x, x: nn.BCELoss(reduction='sum')(recon_x.view(-1, 784), x.view(-1, 784))",
        "lambda x_hat, x: -torch.distributions.Bernoulli(probs=x_hat, validate_args=False).log_prob(x).sum(1)",
    ],
    "vae_loss": [
        "lambda x, x_hat, mu, log_var: (BCE(x_hat, x) + KL(mu, log_var)) / len(x)",
        "lambda x_hat, x, log_var, mu: {'kl': KL(mu, log_var), 'loss': BCE(x_hat, x) + KL(mu, log_var)}",
        "lambda x_hat, x, mu, log_var: (BCE(x_hat, x), KL(mu, log_var), BCE(x_hat, x) + KL(mu, log_var))",
        "lambda x_hat, x, mu, log_var: F.binary_cross_entropy(x_hat, x) + KL(mu, log_var) / len(x) / x.shape[1]",
        "lambda x_hat, x, mu, log_var: F.mse_loss(x_hat, x, reduction='sum') / 2 + KL(mu, log_var)",
        "lambda x_hat, x, mu, log_var: BCE(x_hat, x) + 4 * KL(mu, log_var)",
        "lambda a, b, c, d: BCE(b, a) + KL(d, c)",
    ],
    "kl_gaussians": [
        "lambda mu_q, logvar_q, mu_p, logvar_p: 0.5 * (logvar_p - logvar_q + ((mu_q - mu_p)**2 + logvar_q.exp()) / "
        "logvar_p.exp() - 1).sum()",
        "lambda mu1, std1, mu2, std2: np.sum(np.log(std2 / std1) + (std1**2 + (mu1 - mu2)**2) / (2 * std2**2) - 0.5)",
        "lambda a, b, c, d: 0.5 * (np.trace(np.linalg.solve(d, b)) + (a - c) @ np.linalg.solve(d, a - c) - len(a) "
        "+ np.linalg.slogdet(d)[1] - np.linalg.slogdet(b)[1])",
    ],
}


@pytest.mark.parametrize(
    ("role", "function"), [(role, f) for role, functions in STYLES.items() for f in functions]
)
def test_a_right_function_passes(check: Check, role: str, function: str) -> None:
    helpers = """
mb_size, Z_dim = 32, 6
def my_BCE(a, b): return F.binary_cross_entropy(a, b, reduction="sum")
def my_KL(mu, logvar): return 0.5 * torch.sum(mu**2 + logvar.exp() - 1 - logvar)
BCE, KL = my_BCE, my_KL
"""
    report = check(f"{helpers}\n{role} = {function}\n")
    assert report.ok, report.findings
    assert [f.status for f in report.functions] == ["right"]


def test_an_elbo_may_be_positive(check: Check) -> None:
    code = """
def elbo(x_hat, x, mu, log_var):
    kl = 0.5 * torch.sum(mu**2 + log_var.exp() - 1 - log_var)
    return -F.binary_cross_entropy(x_hat, x, reduction="sum") - kl
"""
    assert check(code).ok


def test_weights_and_variances_are_noted(check: Check) -> None:
    report = check("recon_loss = lambda x_hat, x: ((x_hat - x)**2).sum(1) / 0.02\n")
    assert report.ok
    assert "variance 0.01" in report.findings[0].message
    report = check(
        "kl_loss = lambda mu, log_var: 0.00025 * 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1)\n"
    )
    assert report.ok
    assert "beta = 0.00025" in report.findings[0].message


def test_names_are_mapped_by_argument_and_by_comment(check: Check) -> None:
    code = "wibble = lambda mu, log_var: (mu**2 + log_var.exp() - 1 - log_var).sum(1)\n"
    assert check(code).mistakes == ("nothing-to-check",)
    assert check(code, {"kl_loss": "wibble"}).mistakes == ("missing-half",)
    assert check(f"# vaekit: kl_loss = wibble\n{code}").mistakes == ("missing-half",)


# As they are found in public notebooks.


def test_hard_coded_sizes(check: Check) -> None:
    report = check("""
mb_size, Z_dim = 64, 100
def sample_z(mu, log_var): return mu + torch.exp(log_var / 2) * torch.randn(mb_size, Z_dim)
def recon_loss(X_sample, X): return F.binary_cross_entropy(X_sample, X, reduction="sum") / mb_size
def kl_loss(mu, log_var): return torch.mean(0.5 * torch.sum(torch.exp(log_var) + mu**2 - 1.0 - log_var, 1))
def loss_function(recon_x, x, mu, logvar):
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    KLD /= 128 * 784
    return F.binary_cross_entropy(recon_x, x.view(-1, 784)) + KLD
""")
    assert report.ok, report.findings
    assert [f.status for f in report.functions] == ["right"] * 4
    assert [f.code for f in report.findings] == ["scaled"]


def test_arguments_in_a_tuple(check: Check) -> None:
    report = check("""
class BetaVAE:
    def loss_function(self, *args, **kwargs):
        recons, x, mu, log_var = args[:4]
        recons_loss = F.mse_loss(recons, x, reduction="sum") / 2
        kld_loss = torch.sum(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        loss = recons_loss + kwargs.get("M_N", 1.0) * kld_loss
        return {"loss": loss, "Reconstruction_Loss": recons_loss.detach(), "KLD": -kld_loss.detach()}
""")
    assert report.ok, report.findings
    assert report.functions[0].status == "right"


def test_what_cannot_be_called_is_not_checked(check: Check) -> None:
    report = check("""
class VAE(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size
    def elbo(self, x): return x
    def kl_loss(self, mu, log_var): return self.size * mu
""")
    assert report.ok
    assert {f.role: f.status for f in report.functions} == {
        "kl_loss": "not checked",
        "vae_loss": "not checked",
    }
    assert any("it takes (x)" in finding.message for finding in report.findings)


def test_the_one_page_example_is_right(check: Check) -> None:
    code = (Path(__file__).resolve().parents[2] / "examples" / "minimal_vae.py").read_text()
    statuses = {f.role: f.status for f in check(code.split("import argparse", 1)[1]).functions}
    assert statuses == {
        "sample_z": "right",
        "kl_loss": "right",
        "recon_loss": "right",
        "vae_loss": "not checked",
    }


@pytest.mark.parametrize(
    "reduce", ["sum((1, 2, 3)).mean()", "view(x.size(0), -1).sum(1)", "sum() / x.shape[0]"]
)
def test_losses_of_images(check: Check, reduce: str) -> None:
    report = check(f"""
def recon_loss(x_logits, x):
    assert x.ndim == 4
    return F.binary_cross_entropy_with_logits(x_logits, x, reduction="none").{reduce}
def elbo(x, x_logits, mu, logvar, beta=1.0):
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
    return -(F.binary_cross_entropy_with_logits(x_logits, x, reduction="none").sum((1, 2, 3)) + beta * kl).mean()
""")
    assert report.ok, report.findings
    assert [f.status for f in report.functions] == ["right", "right"]


def test_the_function_that_fits_is_taken(check: Check) -> None:
    report = check("""
def vae_loss(model, x): return model(x)
def elbo(x_hat, x, mu, log_var):
    kl = 0.5 * torch.sum(mu**2 + log_var.exp() - 1 - log_var)
    return -F.binary_cross_entropy(x_hat, x, reduction="sum") - kl
""")
    assert [(f.name, f.status) for f in report.functions] == [("elbo", "right")]


@pytest.mark.parametrize("names", ["S1, m1, S2, m2", "cov_q, cov_p, mu_q, mu_p"])
def test_the_order_of_two_gaussians_is_read_from_the_names(check: Check, names: str) -> None:
    (mean_p, cov_p), (mean_q, cov_q) = (
        (("m1", "S1"), ("m2", "S2")) if "m1" in names else (("mu_q", "cov_q"), ("mu_p", "cov_p"))
    )
    report = check(f"""
def kl_gaussians({names}):
    d, inverse, ld = {mean_q} - {mean_p}, np.linalg.inv({cov_q}), lambda S: np.linalg.slogdet(S)[1]
    return 0.5 * (np.trace(inverse @ {cov_p}) + d @ inverse @ d - len(d) + ld({cov_q}) - ld({cov_p}))
""")
    assert [f.status for f in report.functions] == ["right"], report.findings
