"""Settings of the quality gate; every field can be set by an environment variable `ML_QUALITY_<FIELD>`."""

from datetime import date

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class QualitySettings(BaseSettings):
    """What the gate looks at and from where on it warns or fails; docs/data-quality.md says why these values.

    A pair `<check>_warn`, `<check>_fail` is a bound on the value that the check reports.
    """

    model_config = SettingsConfigDict(env_prefix="ML_QUALITY_", env_ignore_empty=True, frozen=True)

    days: int = Field(default=62, ge=1, le=366, description="Newest days that are judged.")
    weeks: int = Field(default=8, ge=4, le=52, description="Earlier weeks that a day is compared with.")
    smallest_weeks: int = Field(default=4, ge=2, description="With fewer of them nobody knows what is usual.")
    smallest_events: int = Field(default=20, ge=1, description="Days that usually have fewer are not judged.")
    known_days: tuple[date, ...] = Field(
        default=(),
        description="JSON list of days that were unusual for a known reason: neither judged nor compared with.",
    )
    rows_named: int = Field(default=20, ge=1, le=1000, description="Rows that a check names; it counts all.")
    sigmas: float = Field(default=5.0, gt=0, description="A day must be this many usual deviations off.")

    stale_warn: float = Field(default=2.0, gt=0, description="Days since the newest event.")
    stale_fail: float = Field(default=7.0, gt=0)
    volume_warn: float = Field(
        default=1.4, gt=1, description="Events of a day, times or a part of what the weekday usually has."
    )
    volume_fail: float = Field(default=1.6, gt=1, description="Too few by this factor; too many only warns.")
    silent_fail: int = Field(default=1, ge=1, description="Days on which a regular source sent nothing.")
    gap_fail: int = Field(default=1, ge=1, description="Days without any event that usually have some.")
    vanished_warn: float = Field(
        default=0.05, gt=0, description="Share of regular products not seen in 7 days."
    )
    vanished_fail: float = Field(default=0.15, gt=0)
    repeated_warn: float = Field(
        default=0.05, gt=0, description="Share of a day's events told twice, above usual."
    )
    repeated_fail: float = Field(default=0.2, gt=0)
    unseen_products_warn: float = Field(
        default=0.15, gt=0, description="Share of a day's events of products never seen, above usual."
    )
    unseen_products_fail: float = Field(default=0.4, gt=0)
    unseen_categories_warn: float = Field(default=0.05, gt=0, description="The same of categories.")
    unseen_categories_fail: float = Field(default=0.2, gt=0)
    price_factor: float = Field(
        default=8.0, gt=1, description="A price this many times off its product's is a jump."
    )
    price_jumps_warn: float = Field(default=0.02, gt=0, description="Share of a day's purchases that jump.")
    price_jumps_fail: float = Field(default=0.1, gt=0)
    quantity_warn: float = Field(
        default=1.8, gt=1, description="Units of a purchase, times or a part of what its product usually has."
    )
    quantity_fail: float = Field(default=3.0, gt=1)
    hours_warn: float = Field(
        default=1.0,
        gt=0,
        description="Hours that a day's events lie from where they usually lie, above usual.",
    )
    hours_fail: float = Field(default=1.5, gt=0)
    refused_warn: float = Field(
        default=0.05, gt=0, description="Share of the rows that came that were refused."
    )
    refused_fail: float = Field(default=0.2, gt=0)
    currency_fail: float = Field(default=0.0, ge=0, description="Share of events not in the shop's currency.")
