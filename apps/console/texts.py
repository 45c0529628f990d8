"""The words of the pages. English is written in the templates; another language is a catalogue of them."""

from gettext import NullTranslations

from jinja2 import Environment


def install(environment: Environment) -> None:
    """Give templates `_("...")` and `ngettext`, with `%(name)s` filled in by name."""
    translations = NullTranslations()
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
