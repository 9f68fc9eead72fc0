"""Words of strangers, in lines of ours."""

from __future__ import annotations


def shown(text: str) -> str:
    """Text of a stranger, as it may stand in a line of a log or on a terminal: what does not print is written as an escape."""
    return (
        text if text.isprintable() else "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    )
