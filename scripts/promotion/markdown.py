"""Values in Markdown tables and code spans, where no text can break out of its place."""

import re

_MAX_CELL_CHARACTERS = 400
_NO_BREAK = "\u200b"  # after an @, so that nobody is called by a file name


def cell(value: object) -> str:
    """Text that stays in its table cell and is neither markup nor HTML."""
    text = re.sub(r"\s+", " ", str(value))[:_MAX_CELL_CHARACTERS]
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("@", f"@{_NO_BREAK}")
    return re.sub(r"([|`\\\[\]*_#])", r"\\\1", text)


def code_or(value: object, otherwise: str) -> str:
    """Text in a code span that it cannot leave; `otherwise` where there is none."""
    text = re.sub(r"[`|\s]+", " ", str(value or ""))[:_MAX_CELL_CHARACTERS].strip()
    return f"`{text}`" if text else otherwise


def number(value: object) -> str:
    """Four decimals for a float, a dash where nothing is known."""
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def percent(share: float | None) -> str:
    """A share from 0 to 1 as a percentage."""
    return "-" if share is None else f"{100 * share:.3g} %"


def count(value: int) -> str:
    """A whole number in groups of three digits."""
    return f"{value:,}"


def row(cells: list[str]) -> str:
    """One line of a table; the cells are escaped already."""
    return f"| {' | '.join(cells)} |"


def fence(text: str) -> str:
    """Backticks that the text cannot end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


FILTERS = {
    "cell": cell,
    "code_or": code_or,
    "count": count,
    "number": number,
    "percent": percent,
    "row": row,
}
"""For templates, by name."""
