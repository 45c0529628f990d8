"""Events and the inbox's own name; takes a file as it is that a release without migrations made."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "inbox_0001"
down_revision = None
branch_labels = None
depends_on = None
contract_of = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts only its own INTEGER by itself


def upgrade() -> None:
    """Make what is missing."""
    op.create_table(
        "events",
        sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.Text(), nullable=False, unique=True),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("accepted_at", sa.Text(), nullable=False),
        sqlite_strict=True,
        sqlite_autoincrement=True,
        if_not_exists=True,
    )
    op.create_table(
        "identity", sa.Column("value", sa.Text(), nullable=False), sqlite_strict=True, if_not_exists=True
    )
    op.execute(
        f"INSERT INTO identity (value) SELECT '{uuid.uuid4().hex}'"  # noqa: S608 - hex digits
        " WHERE NOT EXISTS (SELECT value FROM identity)"
    )
    if op.get_context().dialect.name == "sqlite":
        op.execute("PRAGMA user_version=1")
