r"""Adam, by torch's fused kernel, without the rest of torch's optimisers.

Of gradients :math:`g_t`, for every number of every parameter (Kingma and Ba, 2015, "Adam: A Method for Stochastic
Optimization", algorithm 1):

.. math::

    m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \qquad
    \theta_t = \theta_{t-1} - \eta \,
    \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon} .

AMSGrad (Reddi, Kale and Kumar, 2018, "On the Convergence of Adam and Beyond", algorithm 2) divides by the largest
:math:`v_t` so far in the place of :math:`v_t`.

``torch.optim.Adam(fused=True)`` takes the same steps, to the last bit. But the first of torch's optimisers that a
process makes imports torch's compiler, which takes about as long as importing torch itself, and every step passes
through hooks and checks that cost a small step more than its arithmetic.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, _foreach_add_, _fused_adam_  # pyright: ignore

__all__ = ["FusedAdam"]


class FusedAdam:
    """Adam with the attributes of torch's optimisers that a training run uses; their state is interchangeable.

    Parameters
    ----------
    parameters
        Tensors to move, or groups ``{"params": tensors, "lr": ...}`` of them. A tensor without a gradient stays as it
        is, and its steps are not counted.
    lr
        The learning rate of groups that have none of their own; ``param_groups`` holds it.
    betas, eps
        Decays of the averages of the gradient and its square, and what is added to the root.
    amsgrad
        Whether the largest average of the squared gradient so far stands in the place of the present one.

    Attributes
    ----------
    param_groups : list of dict
        ``params``, ``lr``, ``betas``, ``eps`` and ``amsgrad`` of each group; what changes there counts from the next
        step on.
    state : dict
        ``step``, ``exp_avg`` and ``exp_avg_sq`` of every tensor that was moved; for AMSGrad ``max_exp_avg_sq`` too.

    Examples
    --------
    >>> x = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = FusedAdam([x], lr=0.1)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     (x**2).sum().backward()
    ...     optimizer.step()
    >>> bool(x.abs().max() < 1e-3)
    True
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        amsgrad: bool = False,
    ) -> None:
        given = list(parameters)
        groups = [group for group in given if isinstance(group, dict)]
        if len(groups) < len(given):
            groups = [{"params": given}]
        self.param_groups: list[dict[str, Any]] = [
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "amsgrad": amsgrad,
                **group,
                "params": list(group["params"]),
            }
            for group in groups
        ]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Move the tensors that have a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[torch.device, torch.dtype], tuple[list[Tensor], list[Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    moved, gradients = alike.setdefault((parameter.device, parameter.dtype), ([], []))
                    moved.append(parameter)
                    gradients.append(parameter.grad)
            for moved, gradients in alike.values():
                states = [
                    self.state.get(parameter) or self._begin(parameter, group["amsgrad"])
                    for parameter in moved
                ]
                steps = [state["step"] for state in states]
                _foreach_add_(steps, 1)
                _fused_adam_(
                    moved,
                    gradients,
                    [state["exp_avg"] for state in states],
                    [state["exp_avg_sq"] for state in states],
                    [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
                    steps,
                    lr=group["lr"],
                    beta1=group["betas"][0],
                    beta2=group["betas"][1],
                    weight_decay=0.0,
                    eps=group["eps"],
                    amsgrad=group["amsgrad"],
                    maximize=False,
                )

    def _begin(self, parameter: Tensor, amsgrad: bool) -> dict[str, Tensor]:
        averages = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])]
        state = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            **{name: torch.zeros_like(parameter, memory_format=torch.preserve_format) for name in averages},
        }
        self.state[parameter] = state
        return state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradients, or set them to zero."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad.detach_().zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return the state by the number of the tensor, and the groups with numbers in the place of tensors."""
        numbers = {parameter: number for number, parameter in enumerate(self._parameters())}
        groups = [
            {**group, "params": [numbers[parameter] for parameter in group["params"]]}
            for group in self.param_groups
        ]
        return {
            "state": {numbers[parameter]: dict(state) for parameter, state in self.state.items()},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`, or that of torch's Adam; the tensors of the state are not copied."""
        parameters = self._parameters()
        self.state = {parameters[number]: dict(state) for number, state in state_dict["state"].items()}
        for group, given in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({name: given[name] for name in ("lr", "betas", "eps", "amsgrad") if name in given})

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]
