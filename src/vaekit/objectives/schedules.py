"""Schedules, where objectives look for them; see :mod:`vaekit.schedules`."""

from vaekit.schedules import Schedule

__all__ = ["Schedule"]
