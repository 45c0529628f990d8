"""Templates into answers, and the files that pages link to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from apps.console import formats, texts
from apps.console.settings import ConsoleSettings

CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
MEDIA_TYPES = {".css": "text/css", ".svg": "image/svg+xml"}
_FILES = Path(__file__).parent / "static"


class Static:
    """The console's own files in memory, each under a name that changes with its content."""

    def __init__(self) -> None:
        self._files: dict[str, Response] = {}
        self.urls: dict[str, str] = {}
        for path in sorted(_FILES.iterdir()):
            content = path.read_bytes()
            name = f"{path.stem}.{sha256(content).hexdigest()[:12]}{path.suffix}"
            headers = {"Cache-Control": "public, max-age=31536000, immutable"}
            self._files[name] = Response(content, headers=headers, media_type=MEDIA_TYPES[path.suffix])
            self.urls[path.name] = f"/static/{name}"

    def get(self, name: str) -> Response | None:
        """The file of this name, None when there is none."""
        return self._files.get(name)


class Pages:
    """Renders the console's templates."""

    def __init__(self, settings: ConsoleSettings, static: Static) -> None:
        self._templates = Environment(
            loader=PackageLoader("apps.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        texts.install(self._templates)
        for written in (
            formats.measure,
            formats.number,
            formats.units,
            formats.percent,
            formats.signed,
            formats.money,
            formats.short,
            formats.moment,
        ):
            self._templates.filters[written.__name__] = written
        self._templates.globals |= {"environment": settings.environment, "static": static.urls}

    def render(self, name: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """The page; it is made for this moment, so nobody keeps it."""
        now = datetime.now(UTC)
        content = self._templates.get_template(name).render(
            {**values, "now": now, "age": lambda at: formats.age(at, now)}
        )
        return HTMLResponse(content, status, headers={"Cache-Control": "no-store"})
