"""What likelihoods over the levels 0 to L - 1 share: the data they accept."""

from vaekit.errors import UsageError
from vaekit.likelihoods.support import Support

__all__ = ["levels_support"]


def levels_support(kind: str, levels: int) -> Support:
    """Give the support of ``levels`` levels.

    Raises
    ------
    UsageError
        If there are fewer than 2 levels, or more than 65,536.

    Examples
    --------
    >>> levels_support("categorical", 4).description
    'whole numbers from 0 to 3'
    """
    if not 2 <= levels <= 65536:
        raise UsageError(
            f"{kind}: levels={levels}; give a whole number from 2 to 65536, such as 256 for 8 bits"
        )
    return Support(
        f"whole numbers from 0 to {levels - 1}",
        0.0,
        levels - 1.0,
        "if these are 8-bit images divided by 255, give the 8-bit values themselves, np.round(255 * x); if there "
        f"are more levels, say how many: {kind}:levels=N",
        whole=True,
    )
