"""Templates into answers, and the files that pages link to."""

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from apps.console import formats, sentences, texts, turkish
from apps.console.kept import Kept
from apps.console.services import Answer
from apps.console.settings import ConsoleSettings

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
LANGUAGE_COOKIE = "language"
_FORMATS = ("number", "units", "percent", "signed", "money", "duration", "moment", "month")
_OF_NOW = {"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language"}
_FILES = Path(__file__).parent / "static"


class Static:
    """The console's own files in memory, each under a name that changes with its content.

    They are kept compressed too: nothing in them is secret, as it is in pages, which stay as they are (BREACH).
    """

    def __init__(self) -> None:
        self._files: dict[tuple[str, bool], Response] = {}
        self.urls: dict[str, str] = {}
        for path in sorted(_FILES.iterdir()):
            content = path.read_bytes()
            name = f"{path.stem}.{sha256(content).hexdigest()[:12]}{path.suffix}"
            headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
            media_type = MEDIA_TYPES[path.suffix]
            self._files[name, False] = Response(content, headers=headers, media_type=media_type)
            headers["Content-Encoding"] = "gzip"
            self._files[name, True] = Response(gzip.compress(content), headers=headers, media_type=media_type)
            self.urls[path.name] = f"/static/{name}"

    def get(self, name: str, accepted: str = "") -> Response | None:
        """The file of this name, compressed where the encodings that are `accepted` allow; None when there is none."""
        return self._files.get((name, "gzip" in accepted))


class Pages:
    """Renders the console's templates, in every language that there is a table for."""

    def __init__(self, settings: ConsoleSettings, static: Static) -> None:
        self.environment = settings.environment
        around = {
            "environment": settings.environment,
            "static": static.urls,
            "languages": texts.LANGUAGES,
            "follow_seconds": max(1, round(settings.refresh_seconds)),
        }
        self._languages = {name: _templates(name, around) for name in texts.LANGUAGES}

    def render(
        self, request: Request, name: str, values: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """The page; it is made for this person and moment, so nobody keeps it."""
        now, session = datetime.now(UTC), request.scope.get("session")
        language = self.language(request)
        query = f"?{request.url.query}" if request.url.query else ""
        around = {
            "language": language,
            "here": f"{request.url.path}{query}" if request.method == "GET" else request.url.path,
            "query": request.query_params,
            "now": now,
            "age": lambda at: formats.age(at, now),
            "person": request.scope.get("person"),
            "form_token": session.form if session else "",
            "aged": [each for each in values.values() if isinstance(each, Answer | Kept) and each.is_aged],
        }
        content = self._languages[language].get_template(name).render({**values, **around})
        return HTMLResponse(content, status, headers=dict(_OF_NOW))

    def language(self, request: Request) -> str:
        """In which language somebody reads, and writes numbers."""
        accepted = request.headers.get("accept-language", "")
        return texts.chosen(accepted, request.cookies.get(LANGUAGE_COOKIE))

    def json(self, content: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
        """A file for a program to read."""
        text = json.dumps(content, ensure_ascii=False, indent=2)
        return Response(text, headers=dict(headers), media_type="application/json")


def _templates(language: str, around: Mapping[str, Any]) -> Environment:
    made = Environment(
        loader=PackageLoader("apps.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts.install(made, texts.Words(language))
    written = turkish if language == "tr" else formats
    made.filters |= {name: getattr(written, name) for name in _FORMATS}
    made.filters |= {"measure": formats.measure, "short": formats.short}
    made.filters["said"] = sentences.writer(language)
    made.globals |= around
    return made
