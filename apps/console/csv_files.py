"""Rows as CSV for spreadsheets and programs: RFC 4180 in UTF-8, with the byte order mark that Excel needs to see it.

Column names are English and numbers have a point, whatever the language of the page: programs read them.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from starlette.responses import StreamingResponse

Cell = str | int | float | None

BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so is a formula to spreadsheets, and can send what else is in the sheet (OWASP, CSV injection)."""


def cell(value: Cell) -> Cell:
    """A number as it is; a text that a spreadsheet would compute, behind an apostrophe; nothing for None."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as lines of a file."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


async def csv_file(
    name: str, columns: Sequence[str], chunks: AsyncIterator[Iterable[Sequence[Cell]]]
) -> StreamingResponse:
    """A file that is sent while it is made; the first rows are waited for, so that a refusal is an answer.

    Where later ones do not come the connection ends early, and no browser takes what it has for the whole file.
    """
    first = await anext(chunks, ())

    async def parts() -> AsyncIterator[str]:
        yield BYTE_ORDER_MARK + lines([columns]) + lines(first)
        async for chunk in chunks:
            yield lines(chunk)

    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(parts(), media_type="text/csv; charset=utf-8", headers=headers)
