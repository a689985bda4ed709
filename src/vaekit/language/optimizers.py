r"""Optimisers by name, with their options: Adam, and RMSprop for protocols that were published with it.

Adam (Kingma and Ba, 2015, algorithm 1), with the gradient :math:`g_t`:

.. math::

    m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
    v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \quad
    \theta_t = \theta_{t-1} - \alpha\,
        \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

AMSGrad (Reddi, Kale and Kumar, 2018, algorithm 2) divides by the root of the largest :math:`v_t` so far.

RMSprop (Tieleman and Hinton, 2012), with :math:`v_t` as above and no :math:`m_t`; *centered* (Graves, 2013,
equation 40) subtracts the squared average of the gradient from :math:`v_t`. The steps are torch's.
"""

from dataclasses import dataclass

from vaekit.errors import UsageError
from vaekit.language.grammar import read_choice

__all__ = ["OPTIMIZERS", "Adam", "RMSprop", "parse_optimizer"]


@dataclass(frozen=True, kw_only=True)
class Adam:
    r"""Adam: ``adam:epsilon=1e-4``.

    Parameters
    ----------
    beta1, beta2
        Decay of the averages of the gradient and of its square.
    epsilon
        :math:`\epsilon`; 1e-4 in the protocol of Burda et al. (2015).
    amsgrad
        Whether the largest :math:`v_t` so far stands in the place of :math:`v_t`.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False

    def __post_init__(self) -> None:
        _require_shares(self, "beta1", "beta2")
        _require_positive(self, "epsilon")


@dataclass(frozen=True, kw_only=True)
class RMSprop:
    """RMSprop: ``rmsprop:centered=true``.

    Parameters
    ----------
    decay
        The decay of the average of the squared gradient.
    epsilon
        Added to its root.
    momentum
        0: none.
    centered
        Whether the average gradient's square is subtracted.
    """

    decay: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        _require_shares(self, "decay", "momentum")
        _require_positive(self, "epsilon")


OPTIMIZERS: dict[str, type[Adam] | type[RMSprop]] = {"adam": Adam, "rmsprop": RMSprop}


def parse_optimizer(text: str) -> Adam | RMSprop:
    """Read ``adam:epsilon=1e-4`` or ``rmsprop:centered=true``.

    Raises
    ------
    UsageError
        For anything else.
    """
    name, options = read_choice("optimizer", text, OPTIMIZERS)
    return OPTIMIZERS[name](**options)


def _require_shares(options: Adam | RMSprop, *names: str) -> None:
    for name in names:
        if not 0 <= (value := getattr(options, name)) < 1:
            raise UsageError(f"optimizer: {name}={value:g}; give a number of at least 0 and below 1")


def _require_positive(options: Adam | RMSprop, name: str) -> None:
    if not 0 < (value := getattr(options, name)) < float("inf"):
        raise UsageError(f"optimizer: {name}={value:g}; give a positive number, such as 1e-8")
