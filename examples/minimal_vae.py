"""A variational autoencoder on one page: the whole method in plain PyTorch.

    python examples/minimal_vae.py --data DIR   # MNIST: train- and t10k-images-idx3-ubyte.gz
    python examples/minimal_vae.py              # without --data: the 8 x 8 digits that come with scikit-learn

A VAE (Kingma & Welling 2013, arXiv:1312.6114) is three distributions. Codes z and images x are made by

    p(z)   = N(0, I)                             the prior
    p(x|z) = prod_i Bernoulli(x_i; p_i(z))       the likelihood: the decoder turns codes into probabilities
    q(z|x) = N(mu(x), diag(sigma(x)^2))          the posterior: the encoder guesses which codes made x

and training maximises a lower bound on log p(x), in nats per image, over both networks at once:

    log p(x) >= ELBO(x) = E_q(z|x)[ log p(x|z) ] - KL( q(z|x) || p(z) )

because log p(x) - ELBO(x) = KL( q(z|x) || p(z|x) ), which is never negative. On MNIST the test -ELBO falls
to about 115.8 nats in two epochs and 105.6 in ten.
"""

import argparse
import gzip
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def read_images(path: Path) -> Tensor:
    """Read images in MNIST's IDX format: four big-endian integers, then bytes. Rows of pixels in [0, 1]."""
    raw = gzip.decompress(path.read_bytes())
    magic, count, height, width = np.frombuffer(raw, dtype=">i4", count=4)
    if magic != 2051:
        raise SystemExit(f"{path} is no IDX file of images: it starts with {magic}, not 2051")
    pixels = np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(count, height * width)
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def load(folder: Path | None) -> tuple[Tensor, Tensor]:
    """Give the training and the test images: (count, pixels) each."""
    if folder is not None:
        return (
            read_images(folder / "train-images-idx3-ubyte.gz"),
            read_images(folder / "t10k-images-idx3-ubyte.gz"),
        )
    from sklearn.datasets import load_digits

    digits = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    digits = digits[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))]
    return digits[:1500], digits[1500:]


class VAE(nn.Module):
    """784-400-20 and back: one hidden layer of relu on each side."""

    def __init__(self, pixels: int, hidden: int = 400, codes: int = 20) -> None:
        super().__init__()
        self.codes = codes
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * codes))
        self.decoder = nn.Sequential(nn.Linear(codes, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the mean and the log-variance of q(z|x). The log, so that any output means a variance."""
        mu, log_var = self.encoder(x).chunk(2, dim=-1)  # (batch, codes) each
        return mu, log_var

    def decode(self, z: Tensor) -> Tensor:
        """Give the logits of p(x|z). Logits, because a sigmoid that has rounded to 1 has no logarithm."""
        return self.decoder(z)

    def elbo(self, x: Tensor) -> Tensor:
        """Estimate the bound with one code per image: (batch,), in nats."""
        mu, log_var = self.encode(x)
        z = sample_z(mu, log_var)
        return log_likelihood(x, self.decode(z)) - kl_from_prior(mu, log_var)

    def log_evidence(self, x: Tensor, samples: int) -> Tensor:
        """Estimate log p(x) = log E_q[ p(x|z) p(z) / q(z|x) ] with many codes per image: (batch,)."""
        mu, log_var = self.encode(x)
        mu = mu.expand(samples, *mu.shape)  # (samples, batch, codes)
        z = sample_z(mu, log_var)
        prior, posterior = log_normal(z, 0 * mu, 0 * mu), log_normal(z, mu, log_var)
        log_weight = log_likelihood(x, self.decode(z)) + prior - posterior
        return log_weight.logsumexp(dim=0) - math.log(samples)


def sample_z(mu: Tensor, log_var: Tensor) -> Tensor:
    """z = mu + sigma * epsilon: the noise depends on no parameter, so gradients pass through z to both."""
    epsilon = torch.randn_like(mu)  # one vector per image: not one for the whole batch
    return mu + torch.exp(log_var / 2) * epsilon


def log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x|z) = sum_i x_i log p_i + (1 - x_i) log(1 - p_i): a sum; a mean would weaken it 784 times."""
    return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(dim=-1)


def kl_from_prior(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL( N(mu, sigma^2) || N(0, 1) ) = 1/2 sum_j ( mu_j^2 + sigma_j^2 - 1 - log sigma_j^2 )."""
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(dim=-1)


def log_normal(z: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mu, diag(sigma^2)), with its constant."""
    return -0.5 * (math.log(2 * math.pi) + log_var + (z - mu) ** 2 / log_var.exp()).sum(dim=-1)


def train(model: VAE, images: Tensor, test_images: Tensor, epochs: int, batch_size: int = 128) -> list[float]:
    """Maximise the mean ELBO by Adam; give the test -ELBO after each epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    curve: list[float] = []
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(images)).split(batch_size):
            loss = -model.elbo(images[batch]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            curve.append(-model.elbo(test_images).mean().item())
        print(f"epoch {epoch:3d}   test -ELBO {curve[-1]:8.2f} nats", flush=True)
    return curve


def draw(probabilities: Tensor) -> str:
    """Show images, side by side, in characters."""
    side = math.isqrt(probabilities.shape[-1])
    rows = (
        probabilities.reshape(-1, side, side).permute(1, 0, 2).reshape(side, -1)
    )  # all first rows in one line
    return "\n".join("".join(" .:-=+*#%@"[int(9.99 * p)] for p in row) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a variational autoencoder.")
    parser.add_argument("--data", type=Path, help="folder with MNIST as IDX .gz files (default: digits)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    images, test_images = load(options.data)
    model = VAE(images.shape[1])
    train(model, images, test_images, options.epochs)
    with torch.no_grad():
        some = test_images[:1000]
        print(f"-log p(x) <= {-model.log_evidence(some, samples=100).mean():.2f} nats (100 codes per image)")
        print(draw(torch.sigmoid(model.decode(torch.randn(5, model.codes)))))  # x ~ p(x|z), z ~ p(z)


if __name__ == "__main__":
    main()
