"""One part of what an accelerator is asked, and its answer in a file of JSON.

    python benchmarks/device/measure.py agreement --data-dir DIR --output RESULTS.json [--device cuda]
    bash benchmarks/device/run.sh DIR RESULTS.json

``agreement``: sentences of every room on both devices with the same weights and draws; the largest relative difference
of log-densities, divergences, bounds and gradients, which float32 explains up to 1e-3 of the largest; then fit, save,
load, encode, score and sample with ``device=``. ``speed``: milliseconds of a step of M1 (784-400-20-400-784, Adam,
batches of 128 and 2048) as it is, compiled, and in the loop of PyTorch's examples on the same device. ``precision``:
steps and the bound after some epochs in float32, tf32 and bf16. ``processes``: the same fit alone, and under torchrun
with one process. ``memory``: the peak of a step at several sizes. Noise in the place of MNIST without ``--data-dir``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from vaekit import VariationalAutoencoder, load
from vaekit.data import Schema, read
from vaekit.objectives import Elbo
from vaekit.reproductions import describe
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.training import TrainingSettings, train

SENTENCES = [  # at least one of every kind of part
    {"likelihood": "bernoulli"},
    {"likelihood": "gaussian", "posterior": "full", "prior": "mixture"},
    {"likelihood": "student-t", "posterior": "low-rank"},
    {"likelihood": "continuous-bernoulli", "posterior": "iaf", "prior": "flow"},
    {"likelihood": "gaussian", "posterior": "planar"},
    {"likelihood": "bernoulli", "posterior": "von-mises-fisher", "prior": "uniform-sphere"},
    {"likelihood": "bernoulli", "posterior": "wrapped-normal", "prior": "wrapped-normal"},
    {"likelihood": "bernoulli", "prior": "vamp"},
    {"likelihood": "bernoulli", "objective": "iwae:samples=5"},
    {"likelihood": "bernoulli", "objective": "mmd"},
    {"likelihood": "bernoulli", "objective": "tc"},
    {"likelihood": "bernoulli", "posterior": "categorical", "prior": "categorical"},
    {"likelihood": "bernoulli", "posterior": "quantized"},
    {"likelihood": "gaussian", "network": "convolutional"},
    {"likelihood": "gaussian", "network": "residual"},
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    started = time.perf_counter()
    found: dict[str, Any] = {}
    try:
        PARTS[options.part](torch.device(options.device), images_of(options.data_dir), found)
    except Exception:  # what was found before is told all the same
        found["error"] = traceback.format_exc().splitlines()[-12:]
    found["seconds_in_all"] = round(time.perf_counter() - started, 1)
    print(json.dumps({options.part: found}, indent=1))
    if options.output:
        there = json.loads(options.output.read_text()) if options.output.exists() else {}
        machine = {**describe("torch"), "device": name_of(options.device)}
        options.output.write_text(
            json.dumps({**there, "machine": machine, options.part: found}, indent=1) + "\n"
        )
    if "error" in found:
        sys.exit(1)


def images_of(folder: Path | None) -> torch.Tensor:
    """Return rows of MNIST in [0, 1], or of noise."""
    if folder is None:
        return torch.rand(20_000, 784, generator=torch.Generator().manual_seed(0))
    data = read("mnist", data_dir=folder)
    scaled = Schema.fit(data, scaling="unit").transform(data.values)
    return torch.from_numpy(np.ascontiguousarray(scaled)).reshape(-1, 784)


def name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "the processor"


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def agreement(device: torch.device, images: torch.Tensor, found: dict[str, Any]) -> None:
    """Evaluate every sentence on both devices, then use the estimator on the device."""
    rows = []
    x = images[:64].reshape(-1, 1, 28, 28)
    for words in SENTENCES:
        row: dict[str, Any] = {"sentence": " ".join(f"{k}={v}" for k, v in words.items())}
        try:
            row |= differences(words, x, device)
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {error}"[:300]
        rows.append(row)
    found["sentences"] = rows
    with tempfile.TemporaryDirectory() as folder:
        found["estimator"] = estimator_on(device, Path(folder))


def differences(words: dict[str, str], x: torch.Tensor, device: torch.device) -> dict[str, float]:
    """Return relative differences of a model's numbers on two devices, its draws made on the processor."""
    words = {"network": "mlp:hidden=64", **words}
    sentence = Sentence.parse(**words)
    flat = x if words["network"] in ("convolutional", "residual") else x.flatten(1)
    with seeded(0):
        model = build_vae(sentence, tuple(flat.shape[1:]), latent=6).eval()
        z = model.encode(flat).sample()
    numbers: list[dict[str, torch.Tensor]] = []
    for place in (torch.device("cpu"), device):
        model, given, drawn = model.to(place), flat.to(place), z.to(place)
        model.zero_grad()
        decoded = model.decode(drawn)
        score = decoded.log_prob(given)
        if model.has_log_likelihood:
            score.mean().backward()
        gradient = [p.grad.flatten() for p in model.decoder.parameters() if p.grad is not None]
        here = {"log_likelihood": score.detach(), "mean": decoded.mean.detach()}
        if gradient:
            here["gradient"] = torch.cat(gradient)
        if model.has_density:
            here["posterior"] = model.encode(given).log_prob(drawn).detach()
            here["prior"] = model.prior().log_prob(drawn).detach()
        numbers.append({name: value.double().cpu() for name, value in here.items()})
    on_cpu, on_device = numbers
    with seeded(1):
        objective = sentence.objective.build()
        objective.begin(rows=len(x))
        bound = float(objective(model, flat.to(device)).bound.mean())
    largest = {
        name: float((on_device[name] - value).abs().max() / value.abs().max().clamp_min(1e-30))
        for name, value in on_cpu.items()
    }
    return {**largest, "bound_on_the_device": bound}


def estimator_on(device: torch.device, folder: Path) -> dict[str, Any]:
    """Fit, save, load elsewhere, and compare."""
    data = read("digits")
    vae = VariationalAutoencoder(8, epochs=20, random_state=0, device=device.type).fit(data)
    vae.save(folder / "digits.vae")
    again = load(folder / "digits.vae", device="cpu")
    codes, others = vae.transform(data), again.transform(data)
    there, here = (model.evaluate(data, samples=50, split="all").log_likelihood for model in (vae, again))
    return {
        "largest_difference_of_codes": float(np.abs(codes - others).max()),
        "log_likelihood_on_the_device": there._asdict(),
        "log_likelihood_on_the_processor": here._asdict(),
        "samples": list(np.shape(vae.sample(5))),
    }


def speed(device: torch.device, images: torch.Tensor, found: dict[str, Any]) -> None:
    """Milliseconds a step of M1."""
    for batch_size in (128, 2048):
        rows = {
            "as it is": steps_of(device, images, batch_size, compile="off"),
            "compiled": steps_of(device, images, batch_size, compile="on"),
            "examples' loop": usual_loop(device, images, batch_size),
        }
        usual = rows["examples' loop"]["milliseconds_a_step"]
        for row in rows.values():
            row["so_many_times_the_usual_loop"] = usual / row["milliseconds_a_step"]
        found[f"batch {batch_size}"] = rows


def steps_of(
    device: torch.device, images: torch.Tensor, batch_size: int, epochs: int = 3, **options: Any
) -> dict[str, Any]:
    """Train M1, and return the milliseconds a step of the fastest epoch but the first, and the last bound."""
    sentence = Sentence.parse(network="mlp:hidden=400,activation=relu", likelihood="bernoulli")
    with seeded(0):
        model = build_vae(sentence, (784,), latent=20).to(device)
    settings = TrainingSettings(epochs=epochs, batch_size=batch_size, learning_rate=1e-3, **options)
    history = train(model, Elbo(), images.to(device), settings=settings, seed=0)
    steps = -(-len(images) // batch_size)
    seconds = min(epoch.seconds for epoch in history.epochs[1:])
    return {"milliseconds_a_step": 1e3 * seconds / steps, "bound": history.epochs[-1].train_bound}


def usual_loop(device: torch.device, images: torch.Tensor, batch_size: int) -> dict[str, Any]:
    """The same model in a plain loop: batches moved to the device, binary cross-entropy, the loss read at each step."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40)).to(device)
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()).to(device)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    seconds = []
    for _ in range(3):
        wait_for(device)
        started = time.perf_counter()
        for batch in images[torch.randperm(len(images))].split(batch_size):
            x = batch.to(device)
            mean, log_variance = encoder(x).chunk(2, 1)
            probability = decoder(mean + torch.randn_like(mean) * (0.5 * log_variance).exp())
            kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
            loss = F.binary_cross_entropy(probability, x, reduction="sum") + kl
            optimizer.zero_grad()
            loss.backward()
            loss.item()
            optimizer.step()
        wait_for(device)
        seconds.append(time.perf_counter() - started)
    return {"milliseconds_a_step": 1e3 * min(seconds[1:]) / -(-len(images) // batch_size)}


def precision(device: torch.device, images: torch.Tensor, found: dict[str, Any]) -> None:
    """Steps and the bound after five epochs, by the precision of the products."""
    for kind in ("float32", "tf32", "bf16") if device.type == "cuda" else ("float32", "bf16"):
        found[kind] = steps_of(device, images, 512, epochs=5, precision=kind, compile="off")


def processes(device: torch.device, images: torch.Tensor, found: dict[str, Any]) -> None:
    """The command line alone, and under torchrun with one process."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", images[:5000].numpy())
        fit = [
            *(
                "-m",
                "vaekit",
                "fit",
                f"{folder}/x.npy",
                "--likelihood",
                "bernoulli",
                "--network",
                "mlp:hidden=400",
            ),
            *("--epochs", "5", "--seed", "0", "--device", device.type, "--json"),
        ]
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
        for name, command in {
            "alone": fit,
            "one process": [*launcher, *fit],
        }.items():
            output = ["-o", f"{folder}/{name.replace(' ', '_')}.vae"]
            started = time.perf_counter()
            done = subprocess.run([sys.executable, *command, *output], capture_output=True, text=True)
            found[name] = {"status": done.returncode, "seconds": round(time.perf_counter() - started, 1)}
            if done.returncode:
                found[name]["said"] = done.stderr.splitlines()[-8:]
            else:
                model = load(output[1])
                found[name]["epochs"] = len(model.history_.epochs)
                found[name]["bound"] = model.history_.epochs[-1].train_bound


def memory(device: torch.device, images: torch.Tensor, found: dict[str, Any]) -> None:
    """Megabytes at the peak of training beyond the data, by the size of the batch."""
    for batch_size in (128, 2048, 16384):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        row = steps_of(device, images, min(batch_size, len(images)), epochs=2, compile="off")
        if device.type == "cuda":
            row["peak_megabytes"] = torch.cuda.max_memory_allocated(device) / 1e6
        found[f"batch {batch_size}"] = row


PARTS: dict[str, Callable[[torch.device, torch.Tensor, dict[str, Any]], None]] = {
    "agreement": agreement,
    "speed": speed,
    "precision": precision,
    "processes": processes,
    "memory": memory,
}

if __name__ == "__main__":
    main()
