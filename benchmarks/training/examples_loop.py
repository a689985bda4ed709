"""The loop of the PyTorch examples' VAE, in our own words: DataLoader, eager Adam, loss from probabilities."""

import argparse
import json
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Model(nn.Module):
    """784-400-20-400-784."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mean = nn.Linear(400, 20)
        self.log_variance = nn.Linear(400, 20)
        self.decoder_hidden = nn.Linear(20, 400)
        self.output = nn.Linear(400, 784)

    def forward(self, x):
        h = F.relu(self.hidden(x.view(-1, 784)))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return torch.sigmoid(self.output(F.relu(self.decoder_hidden(z)))), mean, log_variance


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images")
    parser.add_argument("--workload", default="M1", choices=["M1"])
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    x = torch.from_numpy(np.load(options.data))
    loader = DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=128, shuffle=True)
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seconds = []
    for _ in range(options.epochs):
        started = time.perf_counter()
        total = 0.0
        for batch, _ in loader:
            optimizer.zero_grad()
            probability, mean, log_variance = model(batch)
            reconstruction = F.binary_cross_entropy(probability, batch.view(-1, 784), reduction="sum")
            kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
            loss = reconstruction + kl
            loss.backward()
            total += loss.item()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "seconds_in_all": sum(seconds), "loss": total / len(x)}))


if __name__ == "__main__":
    main()
