"""Sentences that services, promotion and alert rules wrote in English, in the language of the page.

A sentence comes as text: in a report, in evidence in Git, in a problem's detail, in an alert. The table has each one's
template, with `{}` for what was filled in; by it a sentence is read back into its values, and written anew with them.
What stands in no table stays English and is marked as such: what a person, Git or an operating system said in words of
its own.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any, Final

from markupsafe import Markup, escape

from apps.console.formats import MINUS

HOLE: Final = "{}"
BETWEEN: Final = "; "
"""Between sentences in a row."""
MOST_CHARACTERS: Final = 2_000
"""Longer texts are no sentences, and are shown as they are."""
MOST_KEPT: Final = 4_096
MOST_IN_A_ROW: Final = 12
FEWEST_WORDS: Final = 4
"""Fewer unknown words inside a known sentence are a name."""
FEW_CHARACTERS: Final = 10

_TABLES: Final = Path(__file__).parent / "locales"
_NUMBER: Final = re.compile(r"[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?")
_SHARE: Final = re.compile(r"([+-]?)([\d,]+(?:\.\d+)?) ?%")
_SPAN: Final = re.compile(r"(-?(?:\d+(?:\.\d+)?(?:d|h|m|s|ms) ?)+)")  # Prometheus' humanizeDuration
_SPANS: Final = {"d": "gün", "h": "sa", "m": "dk", "s": "sn", "ms": "ms"}
_SWAPPED: Final = str.maketrans(",.", ".,")

Writer = Callable[[str | None], Markup]


def tables(language: str) -> dict[str, str]:
    """Sentences by template, empty for the language that they are written in."""
    file = _TABLES / f"{language}.said.json"
    found: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    return found


def writer(language: str) -> Writer:
    """What writes a sentence into a page of this language."""
    table = tables(language)
    return Said(table) if table else lambda text: escape(text or "")


def values_of(template: Sequence[str], text: str) -> list[str] | None:
    """What was filled into a template, which is given as the pieces around its holes; None for another sentence."""
    first, *rest = template
    last = rest.pop()
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return None
    left, values = text[len(first) : len(text) - len(last)], []
    for piece in rest:
        value, found, left = left.partition(piece)
        if not found:
            return None
        values.append(value)
    return [*values, left]


class Said:
    """Writes sentences in another language by its table; the same text is looked up once.

    Args:
        table: By English template; `{0}` is the first value in the way of the language, `{0!s}` as it stands.
    """

    def __init__(self, table: dict[str, str]) -> None:
        self._whole = {key: text for key, text in table.items() if HOLE not in key}
        holed = [(key.split(HOLE), text) for key, text in table.items() if HOLE in key]
        # The template that says most is tried first: `{} is above 1` is no `{} is {}`.
        self._holed = sorted(holed, key=lambda each: -sum(map(len, each[0])))
        self._form = _Form(self._value)
        self._known = lru_cache(MOST_KEPT)(self._told)
        self._kept = lru_cache(MOST_KEPT)(self._written)

    def __call__(self, text: str | None) -> Markup:
        """The sentence in this language, else as it stands and marked as English; a single word is a name."""
        if not text or isinstance(text, Markup):
            return Markup(text or "")  # noqa: S704 - a template wrote it in this language
        return self._kept(text) if len(text) <= MOST_CHARACTERS else _english(text)

    def _written(self, text: str) -> Markup:
        found = self._around(text)
        if found is None and " " in text.strip():
            return _english(text)
        return escape(_number(text) or text) if found is None else found

    def _told(self, text: str) -> Markup | None:
        """A sentence of which every part is known, or several of them in a row."""
        return (
            self._one(text, lambda value: BETWEEN not in value and self._is_value(value))
            or self._one(text, self._is_value)
            or self._row(text, BETWEEN)
            or self._row(text, ", ")
        )

    def _around(self, text: str) -> Markup | None:
        """The same, or a sentence around words of others."""
        found = self._known(text)
        return self._one(text, lambda _: True) if found is None else found

    def _one(self, text: str, may_be: Callable[[str], bool]) -> Markup | None:
        """The sentence by the template that says most, of those whose values `may_be` what they are."""
        if text in self._whole:
            return escape(self._whole[text])
        for pieces, written in self._holed:
            values = values_of(pieces, text)
            if values is None:
                continue
            says_little = sum(map(len, pieces)) <= FEW_CHARACTERS
            if all(map(may_be, values)) and (not says_little or all(map(self._is_value, values))):
                return Markup(self._form.vformat(written, values, {}))  # noqa: S704 - `_Form` escapes
        return None

    def _is_value(self, text: str) -> bool:
        """A name, a number, or a sentence that is known."""
        is_name = len(text.split()) < FEWEST_WORDS and BETWEEN not in text
        return is_name or self._known(text) is not None

    def _row(self, text: str, between: str) -> Markup | None:
        """Sentences in a row, each as long as one is known."""
        parts = text.split(between)
        for last in range(len(parts) - 1 if len(parts) <= MOST_IN_A_ROW else 0, 0, -1):
            head, tail = between.join(parts[:last]), between.join(parts[last:])
            if (first := self._alone(head, between)) and (rest := self._alone(tail, between)):
                return first + between + rest
            if first and (rest := self._row(tail, between)):
                return first + between + rest
        return None

    def _alone(self, text: str, between: str) -> Markup | None:
        """One of a row, which a single word is not."""
        return self._one(text, lambda value: between not in value) if " " in text else None

    def _value(self, text: str) -> Markup:
        """What was filled in: a number, a sentence of its own, or a name."""
        number = _number(text)
        if number is not None:
            return escape(number)
        found = self._around(text)
        if found is not None:
            return found
        return _english(text) if len(text.split()) >= FEWEST_WORDS else escape(text)


class _Form(Formatter):
    """Fills values in, escaped."""

    def __init__(self, value: Callable[[str], Markup]) -> None:
        self._value = value

    def convert_field(self, value: Any, conversion: Any) -> Any:
        return escape(value) if conversion == "s" else self._value(value)

    def format_field(self, value: Any, format_spec: str) -> Any:  # noqa: ARG002 - as its base
        return str(value)

    def parse(self, format_string: str) -> Any:
        """Literals are escaped, as they stand between values that are."""
        return (
            (str(escape(text)), name, spec, conversion)
            for text, name, spec, conversion in super().parse(format_string)
        )


def _english(text: str) -> Markup:
    return Markup('<span lang="en">{}</span>').format(text)


def _number(text: str) -> str | None:
    """A number, a share or a span of time as Turkish writes it, None for everything else."""
    if _NUMBER.fullmatch(text):
        return text.translate(_SWAPPED).replace("-", MINUS)
    if share := _SHARE.fullmatch(text):
        return f"{share[1].replace('-', MINUS)}%{share[2].translate(_SWAPPED)}"
    if _SPAN.fullmatch(text):
        return re.sub(r"(?<=\d)(ms|[dhms])", lambda unit: f"\N{NO-BREAK SPACE}{_SPANS[unit[0]]}", text)
    return None
