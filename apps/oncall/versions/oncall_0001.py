"""Incidents, their alerts, notifications, the trail, the heartbeat and the lease."""

import sqlalchemy as sa
from alembic import op

revision = "oncall_0001"
down_revision = None
branch_labels = None
depends_on = None
contract_of = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables; rows of the trail can be neither changed nor deleted."""
    op.create_table(
        "incidents",
        sa.Column("id", BIG, sa.Identity(always=True), primary_key=True),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("runbook_url", sa.Text()),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("escalate_at", MOMENT),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("acknowledged_at", MOMENT),
        sa.Column("acknowledged_by", sa.Text()),
        sa.Column("resolved_at", MOMENT),
        sqlite_autoincrement=True,
    )
    unresolved = sa.text("status <> 'resolved'")
    op.create_index(
        "one_unresolved_incident_of_a_group",
        "incidents",
        ["severity", "group_key"],
        unique=True,
        sqlite_where=unresolved,
        postgresql_where=unresolved,
    )
    op.create_index("incidents_by_timer", "incidents", ["escalate_at"])
    op.create_table(
        "alerts",
        sa.Column("incident", BIG, sa.ForeignKey("incidents.id"), primary_key=True),
        sa.Column("fingerprint", sa.Text(), primary_key=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("annotations", sa.JSON(), nullable=False),
        sa.Column("starts_at", sa.Text(), nullable=False),
        sa.Column("generator_url", sa.Text(), nullable=False),
    )
    op.create_table(
        "notifications",
        sa.Column("id", BIG, sa.Identity(always=True), primary_key=True),
        sa.Column("message_id", sa.Text(), nullable=False, unique=True),
        sa.Column("incident", BIG, sa.ForeignKey("incidents.id"), nullable=False, index=True),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.Text()),
        sa.Column("sent_at", MOMENT),
        sa.Column("error", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("notifications_by_time", "notifications", ["transport", "due_at"])
    op.create_table(
        "trail",
        sa.Column("seq", BIG, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("incident", BIG, index=True),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("heard_at", MOMENT, nullable=False),
    )
    _append_only(op.get_context().dialect.name)


def _append_only(dialect: str) -> None:
    if dialect == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER trail_no_{change.lower()} BEFORE {change} ON trail"
                " BEGIN SELECT RAISE(ABORT, 'the trail is only added to'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_change_of_trail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the trail is only added to'; END $$"
    )
    op.execute(
        "CREATE TRIGGER trail_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON trail"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_trail()"
    )
