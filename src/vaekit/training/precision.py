"""In what precision the networks multiply while a model is trained.

Weights, densities, gradients and the optimiser stay in float32 whatever is chosen: only the products of encoder and
decoder (and classifier) are taken in

* ``float32``;
* ``tf32``: NVIDIA's, with 10 bits of mantissa, on its cards alone;
* ``bf16``: bfloat16, with 7, summed in float32; on processors and cards that have it about twice as fast.

Evaluation, validation included, is in float32 always.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vaekit.errors import UsageError
from vaekit.language.settings import Precision
from vaekit.vae import VAE

__all__ = ["products_in"]


@contextmanager
def products_in(model: VAE, precision: Precision) -> Iterator[None]:
    """Multiply in a precision within a block, and put things back after it.

    Raises
    ------
    UsageError
        If the device has no such products.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp"), (3,), latent=2)
    >>> with products_in(model, "tf32"):
    ...     pass
    Traceback (most recent call last):
    vaekit.errors.UsageError: precision=tf32 is for NVIDIA cards, and the model is on cpu; choose float32 or bf16
    """
    device = next(model.parameters()).device.type
    if precision == "tf32" and device != "cuda":
        raise UsageError(
            f"precision=tf32 is for NVIDIA cards, and the model is on {device}; choose float32 or bf16"
        )
    before = model.product_type, torch.backends.cuda.matmul.fp32_precision
    try:
        model.product_type = torch.bfloat16 if precision == "bf16" else None
        if precision == "tf32":
            torch.backends.cuda.matmul.fp32_precision = "tf32"
        yield
    finally:
        model.product_type, torch.backends.cuda.matmul.fp32_precision = before
