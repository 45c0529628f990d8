"""The tables of incidents as this release reads and writes them; `versions/` makes them."""

from datetime import UTC, datetime

import sqlalchemy as sa


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware time, in UTC; SQLite keeps no zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """In UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """With its zone."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_METADATA = sa.MetaData()

INCIDENTS = sa.Table(
    "incidents",
    _METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("group_key", sa.Text),
    sa.Column("severity", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("title", sa.Text),
    sa.Column("summary", sa.Text),
    sa.Column("runbook_url", sa.Text),
    sa.Column("labels", sa.JSON),
    sa.Column("step", sa.Integer),
    sa.Column("escalate_at", Moment),
    sa.Column("opened_at", Moment),
    sa.Column("acknowledged_at", Moment),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("resolved_at", Moment),
)
ALERTS = sa.Table(
    "alerts",
    _METADATA,
    sa.Column("incident", sa.BigInteger, primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("status", sa.Text),
    sa.Column("labels", sa.JSON),
    sa.Column("annotations", sa.JSON),
    sa.Column("starts_at", sa.Text),
    sa.Column("generator_url", sa.Text),
)
NOTIFICATIONS = sa.Table(
    "notifications",
    _METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("message_id", sa.Text),
    sa.Column("incident", sa.BigInteger),
    sa.Column("transport", sa.Text),
    sa.Column("target", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("body", sa.Text),
    sa.Column("created_at", Moment),
    sa.Column("due_at", Moment),  # null once it was sent or given up
    sa.Column("attempts", sa.Integer),
    sa.Column("claimed_by", sa.Text),
    sa.Column("sent_at", Moment),
    sa.Column("error", sa.Text),
)
TRAIL = sa.Table(
    "trail",
    _METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("entry", sa.Text),
    sa.Column("sha256", sa.Text),
    sa.Column("incident", sa.BigInteger),
)
LEASE = sa.Table(
    "lease",
    _METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text),
    sa.Column("until", Moment),
)
HEARTBEATS = sa.Table(
    "heartbeats",
    _METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("heard_at", Moment),
)
