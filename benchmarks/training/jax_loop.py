"""The same network in JAX: one compiled scan over the steps of an epoch. In the peers' environment; M1 alone."""

import argparse
import json
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from workloads import WORKLOADS

BETA1, BETA2, EPSILON, RATE = 0.9, 0.999, 1e-8, 1e-3


def initialise(key, sizes):
    """PyTorch's uniform initialisation of the linear layers."""
    layers = []
    for size_in, size_out in sizes:
        key, first, second = jax.random.split(key, 3)
        bound = size_in**-0.5
        layers.append(
            (
                jax.random.uniform(first, (size_in, size_out), minval=-bound, maxval=bound),
                jax.random.uniform(second, (size_out,), minval=-bound, maxval=bound),
            )
        )
    return layers


def loss(layers, x, key, latent):
    """Minus the ELBO, the mean over the batch, from logits."""
    (w1, b1), (w2, b2), (w3, b3), (w4, b4) = layers
    mean, log_variance = jnp.split(jax.nn.relu(x @ w1 + b1) @ w2 + b2, [latent], axis=1)
    z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    logits = jax.nn.relu(z @ w3 + b3) @ w4 + b4
    reconstruction = (jax.nn.softplus(logits) - x * logits).sum(1)
    kl = 0.5 * (mean**2 + jnp.exp(log_variance) - log_variance - 1).sum(1)
    return (reconstruction + kl).mean()


@partial(jax.jit, static_argnames=("latent",), donate_argnums=(0,))
def epoch(state, x, order, key, latent):
    """All steps of an epoch."""

    def step(state, rows):
        layers, first, second, t, key = state
        key, noise = jax.random.split(key)
        value, gradient = jax.value_and_grad(loss)(layers, x[rows], noise, latent)
        t = t + 1
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)
        one, two = 1 - BETA1**t, 1 - BETA2**t
        layers = jax.tree.map(
            lambda p, m, v: p - RATE * (m / one) / (jnp.sqrt(v / two) + EPSILON), layers, first, second
        )
        return (layers, first, second, t, key), value

    layers, first, second, t = state
    (layers, first, second, t, _), values = jax.lax.scan(step, (layers, first, second, t, key), order)
    return (layers, first, second, t), values.mean()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images, (n, 784)")
    parser.add_argument("--workload", default="M1")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    work = WORKLOADS[options.workload]
    (hidden,) = work.hidden
    x = jnp.asarray(np.load(options.data)[: work.images])
    key = jax.random.PRNGKey(0)
    started = time.perf_counter()
    sizes = [(784, hidden), (hidden, 2 * work.latent), (work.latent, hidden), (hidden, 784)]
    layers = initialise(key, sizes)
    state = (layers, jax.tree.map(jnp.zeros_like, layers), jax.tree.map(jnp.zeros_like, layers), 0.0)
    steps = work.images // work.batch  # a scan has steps of one size: the rest of the images is left out
    seconds = []
    for _ in range(options.epochs):
        before = time.perf_counter()
        key, first, second = jax.random.split(key, 3)
        order = jax.random.permutation(first, work.images)[: steps * work.batch].reshape(steps, work.batch)
        state, value = epoch(state, x, order, second, work.latent)
        value.block_until_ready()
        seconds.append((time.perf_counter() - before) * work.steps / steps)
    print(
        json.dumps(
            {"seconds": seconds, "seconds_in_all": time.perf_counter() - started, "loss": float(value)}
        )
    )


if __name__ == "__main__":
    main()
