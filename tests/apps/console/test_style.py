"""Colours that can be read: WCAG 2.2 contrast of every pair of text and ground, light and dark."""

import re
from pathlib import Path

import pytest

STYLE = Path(__file__).parents[3] / "apps" / "console" / "static" / "console.css"
PAIRS = [
    *(
        (text, ground)
        for text in ("ink", "quiet", "accent")
        for ground in ("surface", "ground", "sunken", "accent-faint")
    ),
    ("good", "good-soft"),
    ("warn", "warn-soft"),
    ("bad", "bad-soft"),
    ("bad", "surface"),
    ("surface", "accent"),
]


def colours(dark: bool) -> dict[str, str]:
    """Names and values of the theme; the dark one changes some of the light one's."""
    light, night = re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.DOTALL)
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", light))
    return found | dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", night)) if dark else found


def luminance(colour: str) -> float:
    """Relative luminance of sRGB, as WCAG defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_knows_black_and_white() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read_on_its_ground(text: str, ground: str, dark: bool) -> None:
    theme = colours(dark)
    assert contrast(theme[text], theme[ground]) >= 4.5
