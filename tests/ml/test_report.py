"""Pictures: a PNG that can be read back, the same one for the same numbers."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ml.evaluation import Backtest, backtest
from ml.models import CANDIDATES
from ml.papers import by_month_and_class
from ml.report import backtest_files, benchmark_png, calibration_png, errors_png, examples_png
from tests.ml.small_history import small_shop

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


@pytest.fixture(scope="module")
def tested() -> Backtest:
    shop = small_shop(products=30, months=16, seed=5)
    odd = replace(shop, product_ids=tuple(f"$A_{{ 商品 {name}" + "B" * 99 for name in shop.product_ids))
    return backtest(odd, {name: CANDIDATES[name] for name in ("naive", "ses")}, seed=0)


DRAWN: list[Callable[[Backtest], bytes]] = [
    lambda tested: errors_png(by_month_and_class(tested, "ses")),
    lambda tested: calibration_png(by_month_and_class(tested, "ses")),
    lambda tested: examples_png(tested, "ses"),
]


@pytest.mark.parametrize("draw", DRAWN, ids=["errors", "calibration", "examples"])
def test_pictures_are_the_same_for_the_same_backtest_and_change_with_it(
    tested: Backtest, draw: Callable[[Backtest], bytes]
) -> None:
    first = draw(tested)
    assert height(first) > 100
    assert draw(tested) == first
    swapped = {"naive": tested.predictions["ses"], "ses": tested.predictions["naive"]}
    assert draw(replace(tested, predictions=swapped)) != first


@pytest.mark.parametrize("draw", DRAWN, ids=["errors", "calibration", "examples"])
def test_a_backtest_that_judges_nothing_is_drawn_empty(
    tested: Backtest, draw: Callable[[Backtest], bytes]
) -> None:
    nothing = replace(tested, eligible=np.zeros_like(tested.eligible))
    assert height(draw(nothing)) == height(draw(tested))


def test_numbers_pictures_and_card_are_kept_by_name(tested: Backtest) -> None:
    paper = by_month_and_class(tested, "ses")
    files = backtest_files(tested, paper, "# card")
    assert sorted(files) == [
        *("backtest.json", "calibration.png", "errors.png", "examples.png", "model_card.md")
    ]
    assert json.loads(files["backtest.json"]) == json.loads(json.dumps(paper, allow_nan=False))
    assert files["model_card.md"] == "# card"
