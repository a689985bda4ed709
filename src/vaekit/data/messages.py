"""Wording of error messages: short lists, counted nouns, shapes and other errors in words."""

from collections.abc import Sequence

__all__ = ["few", "ignored_columns", "in_a_line", "one_line", "plural", "shape_in_words"]


def few(names: Sequence[object], most: int = 5) -> str:
    """Return the first names, and the number of the others.

    >>> few(["a", "b", "c"])
    "'a', 'b', 'c'"
    >>> few(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(str(name)) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def ignored_columns(names: Sequence[str]) -> str:
    """Return a note on columns that a model does not know.

    >>> ignored_columns(["id"]), ignored_columns(["id", "day"])
    ("column 'id' is not one of the model's: ignored", "columns 'id', 'day' are not among the model's: ignored")
    """
    told = "is not one of the model's" if len(names) == 1 else "are not among the model's"
    return f"column{'s' * (len(names) > 1)} {few(names)} {told}: ignored"


def plural(count: int, noun: str) -> str:
    """Return a number and a noun, in the plural where there is not one.

    >>> plural(1, "row"), plural(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shape_in_words(kind: str, event_shape: Sequence[int]) -> str:
    """Return the kind and shape of the examples of a data set in words.

    >>> shape_in_words("table", (4,)), shape_in_words("images", (3, 8, 9))
    ('tables of 4 columns', 'RGB images of 8x9 (height x width)')
    """
    if kind == "table":
        return f"tables of {plural(event_shape[0], 'column')}"
    channels, height, width = event_shape
    colour = {1: "grey", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels}-channel")
    return f"{colour} images of {height}x{width} (height x width)"


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line, shortened to 120 characters.

    >>> one_line(ValueError("first    second"))
    'first second'
    """
    return " ".join(str(error).split())[:120]


def in_a_line(error: BaseException) -> str:
    """Return an error in one line: its type, and the first and last line of its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = "" if not lines else f": {lines[0]}" if len(lines) == 1 else f": {lines[0]} {lines[-1]}"
    return f"{type(error).__name__}{told[:300]}"
