"""Whatever a service can say has a sentence in Turkish, and is read back without a doubt."""

import re
from typing import get_args

import polars as pl
import pytest
from markupsafe import Markup, escape

from apps.console.sentences import HOLE, MOST_CHARACTERS, tables, values_of, writer
from apps.console.texts import LANGUAGES
from apps.oncall.schemas import Severity, Status
from ml.data_gate.check import Check
from ml.data_gate.check import Verdict as Judged
from ml.data_gate.gate import OF_RECENT, UNREADABLE
from ml.drift.batches import Kind as Sign
from ml.drift.occasions import LENGTHS
from ml.drift.residual_drift import CHARTS
from ml.drift.verdict import Answer
from ml.gate import Gain
from ml.guardrails import Guardrail
from ml.guardrails import Kind as Guarded
from scripts.audit.report import Kind
from scripts.evidence import gates
from scripts.evidence.record import Drift, Evidence, Verdict
from tests.apps.console import said
from tests.apps.console.said import english
from tests.ml.data_gate import steady_shop as shop
from tests.ml.data_gate.test_checks import GOOD, NOTHING_REFUSED, PANEL, judged
from tests.repository.imports import ROOT
from tests.scripts.test_gates import PRODUCTION, for_production, traffic

OTHERS = [language for language in LANGUAGES if language != "en"]
FAULTS = (
    *(shop.half_lost, shop.day_missing, shop.source_silent, shop.sent_twice, shop.prices_in_cents_of_cents),
    *(shop.categories_renamed, shop.products_renamed, shop.in_pieces, shop.products_gone),
)
ARGO = {"Synced", "OutOfSync", "Unknown", "Healthy", "Progressing", "Degraded", "Suspended", "Missing"}
LIBRARIES = {
    "Input should be a valid dictionary or instance of {}",
    "Field required",
    "Input should be a valid string",
    "Input should be a valid number",
    "Extra inputs are not permitted",
    "Input should be greater than {}",
    "All connection attempts failed",
    "Server disconnected without sending a response.",
    "Input should be greater than or equal to {}",
    "Input should be less than or equal to {}",
    "Input should be a valid integer",
    "Input should be a finite number",
    "String should have at most {} characters",
    "Value error, {}",
}
COMPOSED = {
    # scripts/evidence/gates.py: an answer, what it is against, and numbers or what is wrong with them.
    "better against {}",
    *(f"{answer} against {{}}, but {{}}" for answer in ("better", "non_inferior")),
    *(
        f"{answer} against {{}}, loss ratio {{}} with bounds {{}} to {{}}"
        for answer in ("better", "non_inferior")
    ),
    *(
        f"{answer} against {{}}; {{}}"
        for answer in ("worse", "not_better", "non_inferior", "not_enough_data", "refused")
    ),
    *("better", "non_inferior", "better or non_inferior", "ratio is {}", "lower is {}", "upper is {}"),
    *("{} is not between {} and {}", "the upper bound {} is not below 1", "at least {}", "at most {}"),
    "at a critical ratio of {} {} of the best profit against {}, difference {}, bounds {} to {}",
    *("unknown", "{} minutes, {} observations of {} pods, at most {} s apart", "nothing"),
    # ml/gate.py and ml/guardrails.py
    *(
        f"loss ratio {{}} with 95 % interval {{}} to {{}} {end}"
        for end in (
            *("is below 1", "is below the margin {}, and the model is {}", "is above 1"),
            "is too wide to see a difference of {}",
            "shows no gain, and one of {} would have shown",
        )
    ),
    " (p = {} over all parts); passed, since it may be chance or is no worse than the champion's",
    *("challenger", "champion", "overall"),
    # ml/data_gate
    *("{} on {}, the worst of {} days", "products", "categories", "events"),
    # ml/drift
    *(f"{{}} ({sign} {{}})" for sign in get_args(Sign)),
    *(f"{chart} ({{}})" for chart in CHARTS),
    # scripts/audit
    *(
        f"{{}} went from {{}} to {{}} by commit {{}} ({{}}){end}"
        for end in (
            ", committed as {}, and names #{}, which for the forge is {}",
            ", committed as {}, which is no pull request's merge",
            ", committed as {}, a plain revert that nobody approved",
            " of #{} from branch {}",
        )
    ),
    *(
        f"{{}} has {fact} {{}}, not {{}}"
        for fact in ("environment", "release", "replaced release", "requester")
    ),
    *("environment", "release", "requester", "open", "closed", "merged", "added", "deleted", "edited"),
    "model {} with image {}",
    # scripts/evidence and scripts/promotion
    "environments/{}/promotion.yaml {}",
    *(f"{{}} was {seen}" for seen in ("last seen in {} {} s ago, {}", "not seen in {} for {} s, {}")),
    "{} was seen in {} for {} minutes only, {}",
    "#{} for {} was closed by {}; {}",
    # ml/bucket.py
    *(f"cannot {verb} {{}}/{{}}: {{}}" for verb in ("read", "write", "list")),
    # apps
    *("{}: {}", "category: {} products; ask by category, {} at most"),
    "This is a drill: acknowledge it, then resolve it",
}
"""What modules put together from pieces that are no sentences alone."""


def turkish(text: str) -> Markup:
    return writer("tr")(text)


def columns_of(checks: dict[str, Check]) -> set[str]:
    return {column for check in checks.values() for row in check.rows for column in row}


@pytest.fixture(scope="module")
def judged_faults() -> list[dict[str, Check]]:
    """What the quality gate says of good data, of none, and of each fault."""
    refused = NOTHING_REFUSED.refused.vstack(
        pl.DataFrame({"row_id": ["r"], "reason": ["x"], "source": ["s"]})
    )
    arrived = type(NOTHING_REFUSED)(1, refused)
    found = [judged(fault(GOOD, shop.ZONE)) for fault in FAULTS]
    return [judged(GOOD, PANEL.with_columns(mean_price_cents=-1.0), arrived), judged(GOOD.clear()), *found]


@pytest.fixture(scope="module")
def names(judged_faults: list[dict[str, Check]]) -> set[str]:
    """Words that are shown alone: names of checks, columns, gates, findings and states, from where they are made."""
    checks = {UNREADABLE, *OF_RECENT}.union(*judged_faults)
    columns = set[str]().union(*map(columns_of, judged_faults)) | {"month"}
    found = {name.replace("_", " ") for name in checks | columns | set(Kind)}
    found |= {gate.name for gate in gates.of(for_production(), PRODUCTION)}
    found |= {
        name for kind in (Sign, Answer, Severity, Status, Gain, Judged, Guarded) for name in get_args(kind)
    }
    return found | {*LENGTHS, *CHARTS, "firing"} - {"ramadan"} | said.trail() | ARGO


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("path", said.modules())
def test_every_sentence_of_a_service_is_in_the_table(path: str, language: str) -> None:
    found, passed_over = said.of_module(path), said.NOT_SHOWN.get(path, set())
    assert passed_over <= found, "it is not there any more"
    assert found - passed_over - set(tables(language)) == set()


def test_a_new_sentence_would_be_missed_in_the_table() -> None:
    """The control of the test above."""
    source = '''
def judge(days: int) -> str:
    """A docstring is no sentence of a page."""
    log.info("nor is a log")
    if days:
        raise Refused("new", f"{days:.1f} days were {'never ' if days > 1 else ''}looked at")
    return "{:g} days".format(days)
'''
    assert said.of_source(source) == {"{} days were {}looked at", "{} days"}
    assert not said.of_source(source) & set(tables("tr"))


def test_no_module_beside_a_page_speaks_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said.unheard() == set()
    assert said.SILENT.isdisjoint(said.modules())
    assert all(said.raised_of((ROOT / path).read_text()) for path in said.SILENT), (
        "it raises nothing any more"
    )
    monkeypatch.setitem(said.SPEAKERS, "apps/decision", ("portfolio",))  # the control
    assert said.unheard() == {"apps/decision/forecast_client.py"}


@pytest.mark.parametrize("language", OTHERS)
def test_every_alert_is_in_the_table(language: str) -> None:
    summaries = said.of_rules()
    assert len(summaries) > 30
    assert summaries - set(tables(language)) == set()


@pytest.mark.parametrize("language", OTHERS)
def test_every_name_is_in_the_table(names: set[str], language: str) -> None:
    assert names - set(tables(language)) == set()


@pytest.mark.parametrize("language", OTHERS)
def test_the_table_holds_nothing_that_nobody_says(names: set[str], language: str) -> None:
    sources = set[str]().union(*(said.of_module(path) for path in said.modules()))
    assert set(tables(language)) - sources - said.of_rules() - names - COMPOSED - LIBRARIES == set()
    assert (COMPOSED | LIBRARIES) - set(tables(language)) == set()


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_is_read_back_by_its_own_template(language: str) -> None:
    write = writer(language)
    for template, written in tables(language).items():
        values = [f"v{place}x" for place in range(template.count(HOLE))]
        text = template
        expected = re.sub(r"{(\d)(?:!s)?}", lambda hole: values[int(hole[1])], written)  # noqa: B023
        for value in values:
            text = text.replace(HOLE, value, 1)
        assert write(text) == escape(expected), template
        assert written.strip()


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_loses_no_value(language: str) -> None:
    for template, written in tables(language).items():
        places = {int(place) for place in re.findall(r"{(\d)(?:!s)?}", written)}
        left_out = {2} if template == "{} beside {} other{}" else set()  # the plural's letter
        assert places == set(range(template.count(HOLE))) - left_out, template


def test_the_quality_gate_speaks_turkish(judged_faults: list[dict[str, Check]]) -> None:
    for checks in judged_faults:
        for check in checks.values():
            assert not english(turkish(check.reason)), check.reason
            assert turkish(check.reason) != escape(check.reason)
    volume = turkish(judged_faults[2]["volume"].reason)
    assert re.fullmatch(
        r"her zamankinden \d+,\d+ kat az olay: 2026-06-30, 14 günün en kötüsü; 1,6 değerinden sonra kalır",
        volume,
    )


UNSURE = Verdict(
    answer="not_enough_data",
    against="mix",
    ratio=None,
    lower=None,
    upper=None,
    reasons=("2 months were tested, 3 are needed",) * 2,
)


@pytest.mark.parametrize(
    "evidence",
    [
        for_production(),
        for_production(traffic=None, drift=None, images={}),
        for_production(verdict=None, benchmark=(), money=None),
        for_production(verdict=UNSURE, drift=Drift(answer="not enough data", query="x")),
        for_production(traffic=traffic(environment="local", requests=12_345.5), images={"forecast": ""}),
    ],
    ids=["open", "nothing asked", "nothing came", "unsure", "other place"],
)
def test_the_gates_of_promotion_speak_turkish(evidence: Evidence) -> None:
    for gate in gates.of(evidence, PRODUCTION):
        for text in (gate.saw, gate.needs):
            assert not english(turkish(text)), text
            assert turkish(text) != escape(text)


@pytest.mark.parametrize("doubtful", [True, False])
def test_a_guardrail_speaks_turkish(doubtful: bool) -> None:
    text = str(Guardrail("loss", "overall", 1.23, 1.1, None, 0.03 if doubtful else None, doubtful))
    assert doubtful or not english(turkish(f"refused against mix; {text}"))
    assert turkish(text).startswith("koruma sınırı kayıp, tümü: 1,23, en çok 1,1 izinli")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "views (location +1.20), units (category share -0.30) changed",
            "değişen: views (konum +1,20), units (kategori payı \N{MINUS SIGN}0,30)",
        ),
        (
            "errors grew (+0.31), coverage fell (-0.10)",
            "hatalar büyüdü (+0,31), kapsama düştü (\N{MINUS SIGN}0,10)",
        ),
        (
            "x is +80% off its usual value in 2026-10 (p = 1.2e-05 over all tests)",
            "x, 2026-10 ayında her zamanki değerinden +%80 uzakta (tüm sınamalar için p = 1,2e\N{MINUS SIGN}05)",
        ),
        (
            "A pod serves forecasts that are 36d 2h 0m 5s old",
            "Bir pod 36_gün 2_sa 0_dk 5_sn önceki tahminleri sunuyor",
        ),
        ("12.5% of the events are refused", "Olayların %12,5 kadarı geri çevriliyor"),
        ("model: it was not loaded yet", "model: henüz yüklenmedi"),
    ],
)
def test_numbers_lists_and_spans_are_written_as_in_turkish(text: str, expected: str) -> None:
    assert turkish(text) == expected.replace("_", "\N{NO-BREAK SPACE}")


def test_words_of_others_stay_and_are_marked() -> None:
    fatal = "fatal: not a git repository (or any of the parent directories): .git"
    assert (
        turkish(f"git cannot read /a/b: {fatal}")
        == f'git /a/b deposunu okuyamıyor: <span lang="en">{fatal}</span>'
    )
    assert (
        turkish("words that nobody put into a table")
        == '<span lang="en">words that nobody put into a table</span>'
    )
    assert turkish("SKU-0042") == "SKU-0042"
    assert (turkish(""), turkish(Markup("<b>zaten</b>"))) == ("", "<b>zaten</b>")
    assert english(turkish("sign in first " * MOST_CHARACTERS))


def test_what_is_filled_in_is_text_and_no_markup() -> None:
    hostile = "<script>alert(1)</script>"
    for text in (
        f"product {hostile!r} has no forecast; /forecast lists the products that have one",
        f"{hostile} and so on",
    ):
        assert "<script" not in turkish(text)
        assert "<script" not in writer("en")(text)
        assert "&lt;script" in turkish(text)


def test_english_stays_as_it_was_said() -> None:
    assert (
        writer("en")("0 of 14 days have no event, though their weekday always has")
        == "0 of 14 days have no event, though their weekday always has"
    )


@pytest.mark.parametrize(
    ("template", "text", "values"),
    [
        ("{} of {} days", "1 of 14 days", ["1", "14"]),
        ("{} of {} days", "1 of 14 weeks", None),
        ("a {} b {} c", "a b c", None),
        ("from {}", "from ", [""]),
    ],
)
def test_values_are_what_stands_in_the_holes(template: str, text: str, values: list[str] | None) -> None:
    assert values_of(template.split(HOLE), text) == values
