"""The words of the pages: English is written in the templates, another language is a table of it in `locales`."""

import json
from collections.abc import Mapping
from gettext import NullTranslations
from pathlib import Path

from jinja2 import Environment

LANGUAGES = {"en": "English", "tr": "Türkçe"}
"""What each calls itself; the first is for whoever asks for none of them."""

_TABLES = Path(__file__).parent / "locales"


class Words(NullTranslations):
    """One language. A sentence that its table does not have stays English.

    Neither language needs more than one form after a number that is not one: Turkish has a single one.
    """

    def __init__(self, language: str) -> None:
        super().__init__()
        file = _TABLES / f"{language}.json"
        self.table: Mapping[str, str] = json.loads(file.read_text()) if file.is_file() else {}

    def gettext(self, message: str) -> str:
        """The sentence in this language."""
        return self.table.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """The sentence for this many."""
        return self.table.get(msgid1) or super().ngettext(msgid1, msgid2, n)


def install(environment: Environment, words: Words) -> None:
    """Give templates `_("...")` and `ngettext`, with `%(name)s` filled in by name."""
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]


def chosen(accept: str, preferred: str | None = None) -> str:
    """The language of a page: what somebody chose here, else what the browser asks for (RFC 9110, section 12.5.4)."""
    if preferred in LANGUAGES:
        return str(preferred)
    wanted = []
    for place, part in enumerate(accept.split(",")[:20]):
        name, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), place, name.partition("-")[0].lower()))
        except ValueError:
            continue
    ordered = [name for weight, _, name in sorted(wanted) if weight < 0]
    return next((name for name in ordered if name in LANGUAGES), next(iter(LANGUAGES)))
