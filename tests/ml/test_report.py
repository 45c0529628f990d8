"""Pictures: a PNG that can be read back."""

import struct

from ml.report import benchmark_png

ROWS = [
    {"candidate": "naive", "promotable": True, "pinball": 0.7, "coverage_80": 0.81},
    {"candidate": "mix", "promotable": True, "pinball": 0.5, "coverage_80": 0.79},
    {"candidate": "seed_recipe", "promotable": False, "pinball": 0.9, "coverage_80": 0.7},
]


def height(png: bytes) -> int:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return int(struct.unpack(">I", png[20:24])[0])


def test_the_benchmark_is_a_picture_with_a_line_per_candidate() -> None:
    assert height(benchmark_png(ROWS, "mix")) > height(benchmark_png(ROWS[:1], "mix"))


def test_a_candidate_without_a_score_is_left_out() -> None:
    unscored = {"candidate": "new", "promotable": True, "pinball": None, "coverage_80": None}
    assert height(benchmark_png([*ROWS, unscored], "mix")) == height(benchmark_png(ROWS, "mix"))
