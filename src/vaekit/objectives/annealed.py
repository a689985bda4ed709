"""What objectives share with other parts that follow schedules; see :mod:`vaekit.annealing`."""

from vaekit.annealing import Annealed, check_count, check_scalar

__all__ = ["Annealed", "check_count", "check_scalar"]
