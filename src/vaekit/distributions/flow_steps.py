r"""Invertible maps in steps, each autoregressive: dimension :math:`i` depends on the dimensions before it.

.. math:: y_i = g(x_i;\ \theta_i(x_{<i}, h)), \qquad
          \log \left| \det \frac{\partial y}{\partial x} \right| = \sum_i \log |g'(x_i;\ \theta_i)|

:math:`\theta` is a masked network (Germain et al., 2015, "MADE") of the other dimensions and a context
:math:`h`; the order of the dimensions is reversed from one step to the next. The map takes one pass, and its
inverse finds one dimension after the other. Run from noise to :math:`z` it is an inverse autoregressive flow
(Kingma et al., 2016), from :math:`z` to noise a masked autoregressive flow (Papamakarios, Pavlakou and
Murray, 2017). Masks, networks and splines are zuko's.

The gated update is

.. math:: y = \sigma x + (1 - \sigma)\, m, \qquad \sigma = \operatorname{sigmoid}(s), \qquad
          \log \left| \frac{\partial y}{\partial x} \right| = \log \sigma

Kingma et al. (2016), "Improved Variational Inference with Inverse Autoregressive Flow", equations 13 and 14.
Like the gate of a recurrent network it starts near the identity.

``import zuko`` sets ``torch.distributions.Distribution._validate_args`` and ``arg_constraints`` for the whole
process and renames a class of torch; :func:`import_zuko` restores all three. The import also *adds* a method
``call_and_ladj`` to torch's ``Transform``. The flows need it, so it stays. Where zuko has been imported
before, nothing is changed.
"""

import sys
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Distribution, Transform, constraints
from torch.nn.functional import logsigmoid

from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound

__all__ = [
    "FlowSteps",
    "GatedTransform",
    "LocatedFlow",
    "gated_steps",
    "import_zuko",
    "masked_affine_steps",
    "spline_steps",
]

_INITIAL_SIZE = (
    0.1  # of a step's last layer, relative to torch's default, so that a flow starts near the identity
)


class FlowSteps(nn.Module):
    r"""A flow :math:`f = f_T \circ \dots \circ f_1`, from noise to :math:`z`.

    Parameters
    ----------
    steps
        Modules from a context to one of zuko's transforms.
    draws_in_one_pass
        Whether the transforms run from noise to :math:`z`, so that drawing takes one pass and the density
        elsewhere is sequential, or from :math:`z` to noise, so that the density takes one pass and drawing is
        sequential.

    Examples
    --------
    >>> flow = gated_steps("iaf", 3, context=2, layers=2)
    >>> h = torch.randn(5, 2)
    >>> z, log_det = flow(torch.randn(5, 3), h)
    >>> u, minus_log_det = flow(z, h, invert=True)
    >>> z.shape, torch.allclose(log_det, -minus_log_det, atol=1e-5)
    (torch.Size([5, 3]), True)
    """

    def __init__(self, steps: Sequence[nn.Module], *, draws_in_one_pass: bool) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)
        self.draws_in_one_pass = draws_in_one_pass
        with torch.no_grad():
            for step in steps:
                for parameter in _last_layer(step):
                    parameter.mul_(_INITIAL_SIZE)

    def forward(
        self, value: Tensor, context: Tensor | None, *, invert: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Map ``(..., k)`` in a context ``(..., h)``; return the image and the log-determinant ``(...,)``."""
        total: Tensor = value.new_zeros(value.shape[:-1])
        if invert != self.draws_in_one_pass:
            for step in self.steps:
                value, log_det = step(context).call_and_ladj(value)
                total = total + log_det
            return value, total
        for step in reversed(self.steps):
            transform = step(context)
            before = transform.inv(value)
            total = total - transform.log_abs_det_jacobian(before, value)
            value = before
        return value, total


class LocatedFlow(nn.Module):
    r"""A flow of standard noise, then scaled and shifted: :math:`z = \mu + \sigma f(u; h)`.

    Its context is the tuple of :math:`\mu`, :math:`\log \sigma` and :math:`h` (or None).

    Examples
    --------
    >>> flow = LocatedFlow(spline_steps("spline", 3, context=2, layers=2, draws_in_one_pass=True))
    >>> flow(torch.zeros(5, 3), (torch.zeros(5, 3), torch.zeros(5, 3), torch.zeros(5, 2)))[0].shape
    torch.Size([5, 3])
    """

    def __init__(self, flow: nn.Module) -> None:
        super().__init__()
        self.flow = flow

    def forward(
        self, value: Tensor, context: tuple[Tensor, Tensor, Tensor | None], *, invert: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Map ``(..., k)``; return the image and the log-determinant ``(...,)``."""
        mean, log_scale, h = context
        if invert:
            u, log_det = self.flow((value - mean) * (-log_scale).exp(), h, invert=True)
            return u, log_det - log_scale.sum(-1)
        z, log_det = self.flow(value, h)
        return mean + log_scale.exp() * z, log_det + log_scale.sum(-1)


def gated_steps(
    kind: str, latent: int, *, context: int, layers: int = 2, hidden: tuple[int, ...] | None = None
) -> FlowSteps:
    """Build gated steps that draw in one pass; raise a UsageError that names ``kind`` for impossible sizes."""
    return _build(kind, latent, context, layers, hidden, draws_in_one_pass=True, univariate=GatedTransform)


def masked_affine_steps(
    kind: str, latent: int, *, context: int = 0, layers: int = 3, hidden: tuple[int, ...] | None = None
) -> FlowSteps:
    """Build affine steps whose density takes one pass; raise a UsageError for impossible sizes."""
    return _build(kind, latent, context, layers, hidden, draws_in_one_pass=False)


def spline_steps(
    kind: str,
    latent: int,
    *,
    context: int = 0,
    layers: int = 3,
    bins: int = 8,
    hidden: tuple[int, ...] | None = None,
    draws_in_one_pass: bool = False,
) -> FlowSteps:
    """Build coupled splines, inverted in two passes; raise a UsageError for impossible sizes."""
    if bins < 2:
        raise UsageError(f"{kind}: bins={bins}; a spline needs at least 2, 8 is usual")
    return _build(
        kind,
        latent,
        context,
        layers,
        hidden,
        draws_in_one_pass=draws_in_one_pass,
        univariate=import_zuko().transforms.MonotonicRQSTransform,
        shapes=((bins,), (bins,), (bins - 1,)),
        passes=2,
    )


def _build(
    kind: str,
    latent: int,
    context: int,
    layers: int,
    hidden: tuple[int, ...] | None,
    *,
    draws_in_one_pass: bool,
    **options: Any,
) -> FlowSteps:
    if latent < 1 or layers < 1:
        raise UsageError(f"{kind}: latent={latent}, layers={layers}; both must be at least 1")
    needed = min(latent, options.get("passes", latent))
    sizes = (max(64, needed),) if hidden is None else hidden
    if any(size < needed for size in sizes):
        raise UsageError(
            f"{kind}: hidden={'x'.join(map(str, sizes))}; a hidden layer needs at least {needed} units for {latent} "
            "latent dimensions (each unit sees the dimensions up to some position, and with fewer units than positions "
            f"no unit would see some of the dimensions); give hidden={needed} or more"
        )
    make = partial(
        import_zuko().flows.MaskedAutoregressiveTransform,
        latent,
        context,
        hidden_features=sizes,
        activation=nn.ELU,
        **options,
    )
    with torch.device("cpu"):  # masks are computed from values, and tensors of the meta device have none
        order = torch.arange(latent)
        steps = [make(order=order if step % 2 == 0 else order.flip(0)) for step in range(layers)]
    return FlowSteps(steps, draws_in_one_pass=draws_in_one_pass).to(torch.get_default_device())


def _last_layer(step: nn.Module) -> list[nn.Parameter]:
    """Return the parameters behind a step's maps: its network's last layer, or all where it has no network."""
    network = dict(step.named_children()).get("hyper")
    return list(step.parameters() if network is None else [*network.children()][-1].parameters())


_INITIAL_GATE = 1.5  # the paper starts s "at +1 or +2"
_GATE_LIMIT = 12.0  # a step shrinks by a factor of 1.6e5 at most


class GatedTransform(Transform):
    r"""The update for given :math:`m` and :math:`s`.

    Parameters
    ----------
    target
        :math:`m`, any shape.
    raw
        :math:`s` before it is shifted to its start and softly bounded, of the same shape.

    Examples
    --------
    >>> import torch
    >>> gate = GatedTransform(torch.tensor(2.0), torch.tensor(-1.5))
    >>> gate(torch.tensor(0.0)), gate.inv(torch.tensor(1.0))
    (tensor(1.), tensor(0.))
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True

    def __init__(self, target: Tensor, raw: Tensor) -> None:
        super().__init__()
        self.target = target
        self.gate = soft_bound(raw + _INITIAL_GATE, _GATE_LIMIT)

    @property
    def sign(self) -> int:
        """The sign of the derivative: the update increases."""
        return 1

    def _call(self, x: Tensor) -> Tensor:
        return self.target + self.gate.sigmoid() * (x - self.target)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.target + (y - self.target) / self.gate.sigmoid()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Any:
        """Return the logarithm of the gate."""
        return logsigmoid(self.gate).expand(x.shape)


def import_zuko() -> ModuleType:
    """Import zuko and undo its changes to torch.

    Examples
    --------
    >>> before = Distribution._validate_args
    >>> import_zuko().__name__, Distribution._validate_args == before
    ('zuko', True)
    """
    if "zuko" in sys.modules:
        return sys.modules["zuko"]
    touched = ("_validate_args", "arg_constraints")
    before = {name: Distribution.__dict__[name] for name in touched}
    inverse = type(AffineTransform(0.0, 1.0).inv)
    name = inverse.__name__
    try:
        import zuko
    finally:
        for attribute, value in before.items():
            setattr(Distribution, attribute, value)
        inverse.__name__ = name
    return zuko
