"""zuko, imported where a flow is built, with what its import switches off switched on again.

``import zuko`` sets ``torch.distributions.Distribution._validate_args`` and ``arg_constraints`` for the whole process,
and renames a class of torch. All three are put back here. It also *adds* a method ``call_and_ladj`` to torch's
``Transform``, which its flows need, and which therefore stays. Where zuko has been imported before, whatever its
user has set since is left alone.
"""

import sys
from types import ModuleType

from torch.distributions import Distribution
from torch.distributions.transforms import _InverseTransform

__all__ = ["import_zuko"]


def import_zuko() -> ModuleType:
    """Import zuko without its effects on torch.

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
    name = _InverseTransform.__name__
    try:
        import zuko
    finally:
        for attribute, value in before.items():
            setattr(Distribution, attribute, value)
        _InverseTransform.__name__ = name
    return zuko
