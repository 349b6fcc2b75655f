"""The schema, version by version, as frozen SQL.

A step once released is never edited: databases out there were made by it.  Version 1 is the
specification's own schema, so a database that has its five tables and no `schema_version` is taken
over as it stands.  All missing steps run in one transaction: an interrupted upgrade leaves the
older schema whole.
"""

from typing import Any

from peewee import Database, SqliteDatabase

from core.errors import ConfigurationError

# Words that differ; `utc_now` because PostgreSQL's own default would be the session's local time.
_SQLITE = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "real": "REAL",
    "big": "INTEGER",
    "datetime": "DATETIME",
    "utc_now": "CURRENT_TIMESTAMP",
}
_POSTGRESQL = {
    "id": "BIGSERIAL PRIMARY KEY",
    "real": "DOUBLE PRECISION",
    "big": "BIGINT",
    "datetime": "TIMESTAMP",
    "utc_now": "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')",
}

_SPECIFIED = (
    """
CREATE TABLE orders (
    id {id},
    order_id TEXT UNIQUE NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    order_type TEXT NOT NULL,
    quantity {real} NOT NULL,
    price {real},
    status TEXT NOT NULL,
    timestamp {datetime} DEFAULT {utc_now}
)""",
    """
CREATE TABLE trades (
    id {id},
    trade_id TEXT UNIQUE NOT NULL,
    order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity {real} NOT NULL,
    price {real} NOT NULL,
    commission {real},
    pnl {real},
    timestamp {datetime} DEFAULT {utc_now}
)""",
    """
CREATE TABLE account_snapshot (
    id {id},
    total_balance {real} NOT NULL,
    available_balance {real} NOT NULL,
    total_pnl {real},
    total_margin {real},
    timestamp {datetime} DEFAULT {utc_now}
)""",
    """
CREATE TABLE positions (
    id {id},
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity {real} NOT NULL,
    entry_price {real} NOT NULL,
    current_price {real},
    unrealized_pnl {real},
    margin {real},
    timestamp {datetime} DEFAULT {utc_now}
)""",
    """
CREATE TABLE bot_state (
    id {id},
    key TEXT UNIQUE NOT NULL,
    value TEXT NOT NULL,
    timestamp {datetime} DEFAULT {utc_now}
)""",
)

_JOURNAL_AND_BOOKS = (
    """
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    applied_at {datetime} DEFAULT {utc_now}
)""",
    """
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    venue_id TEXT NOT NULL,
    peak_equity TEXT NOT NULL,
    started_at {datetime} DEFAULT {utc_now}
)""",
    """
CREATE TABLE order_intent (
    id {id},
    client_id TEXT UNIQUE NOT NULL,
    proposal_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    purpose TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    side TEXT NOT NULL,
    quantity TEXT NOT NULL,
    reference_price TEXT NOT NULL,
    stop_price TEXT NOT NULL,
    target_price TEXT NOT NULL,
    reservation TEXT,
    decision TEXT,
    generation INTEGER NOT NULL,
    created_at_ns {big} NOT NULL,
    epoch INTEGER NOT NULL,
    recorded_at_wall_ns {big} NOT NULL,
    recorded_at_venue_ns {big} NOT NULL,
    state TEXT NOT NULL,
    venue_id TEXT NOT NULL,
    executed TEXT NOT NULL,
    average_price TEXT NOT NULL,
    reason TEXT NOT NULL,
    moved_at_ns {big} NOT NULL
)""",
    # Recovery reads what has not ended: few rows of many.
    """
CREATE INDEX order_intent_live ON order_intent (state)
    WHERE state NOT IN ('FILLED', 'CANCELED', 'EXPIRED', 'REJECTED', 'NOT_SENT', 'ABSENT')""",
    "CREATE INDEX order_intent_symbol ON order_intent (symbol, purpose)",
    """
CREATE TABLE fills (
    symbol TEXT NOT NULL,
    trade_id {big} NOT NULL,
    order_id {big} NOT NULL,
    client_id TEXT NOT NULL,
    purpose TEXT,
    side TEXT NOT NULL,
    quantity TEXT NOT NULL,
    price TEXT NOT NULL,
    commission TEXT NOT NULL,
    realized_pnl TEXT NOT NULL,
    at_ns {big} NOT NULL,
    PRIMARY KEY (symbol, trade_id)
)""",
    """
CREATE TABLE income (
    id {id},
    kind TEXT NOT NULL,
    amount TEXT NOT NULL,
    wallet_balance TEXT NOT NULL,
    at_ns {big} NOT NULL,
    UNIQUE (kind, at_ns, wallet_balance)
)""",
    """
CREATE TABLE decisions (
    id {id},
    proposal_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    approved INTEGER NOT NULL,
    reason_code TEXT NOT NULL,
    reason TEXT NOT NULL,
    checks TEXT NOT NULL,
    caps TEXT NOT NULL,
    quantity TEXT NOT NULL,
    strength {real},
    confidence {real},
    price TEXT NOT NULL,
    kline_close_ns {big} NOT NULL,
    decided_at_ns {big} NOT NULL,
    epoch INTEGER NOT NULL,
    UNIQUE (proposal_id, decided_at_ns)
)""",
    """
CREATE TABLE signals (
    id {id},
    symbol TEXT NOT NULL,
    kline_close_ns {big} NOT NULL,
    price TEXT NOT NULL,
    signal TEXT NOT NULL,
    strength {real},
    prediction {real},
    confidence {real},
    technical TEXT NOT NULL,
    reason TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    UNIQUE (symbol, kline_close_ns)
)""",
    """
CREATE TABLE actor_events (
    id {id},
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL,
    at_ns {big} NOT NULL,
    epoch INTEGER NOT NULL
)""",
    """
CREATE TABLE day_ledger (
    day INTEGER PRIMARY KEY,
    equity_start TEXT NOT NULL,
    realized TEXT NOT NULL,
    fees TEXT NOT NULL,
    funding TEXT NOT NULL,
    entries INTEGER NOT NULL,
    halted INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    updated_at_ns {big} NOT NULL
)""",
    "CREATE INDEX trades_timestamp ON trades (timestamp)",
    "INSERT INTO schema_version (version) VALUES (1)",
)

_LEASE = (
    """
CREATE TABLE lease (
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    host TEXT NOT NULL,
    lock_file TEXT NOT NULL,
    pid INTEGER NOT NULL,
    beat_wall_ns {big} NOT NULL
)""",
)

# The new columns of the day can be null: an older program's row does not know them.
_MONEY_SAFETY = (
    "ALTER TABLE day_ledger ADD COLUMN transfers TEXT",
    "ALTER TABLE day_ledger ADD COLUMN wallet_start TEXT",
    "ALTER TABLE day_ledger ADD COLUMN equity_min TEXT",
    "ALTER TABLE day_ledger ADD COLUMN bases TEXT",
    """
CREATE TABLE state_changes (
    id {id},
    symbol TEXT NOT NULL,
    state TEXT NOT NULL,
    reason_code TEXT NOT NULL,
    reason TEXT NOT NULL,
    latched_until_day INTEGER,
    at_ns {big} NOT NULL,
    epoch INTEGER NOT NULL,
    UNIQUE (symbol, at_ns, state, reason_code, reason)
)""",
    """
CREATE TABLE loss_streaks (
    symbol TEXT PRIMARY KEY,
    losses INTEGER NOT NULL,
    at_ns {big} NOT NULL,
    epoch INTEGER NOT NULL
)""",
    """
CREATE TABLE audit_chain (
    seq {big} PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    content TEXT NOT NULL,
    at_ns {big} NOT NULL,
    hash TEXT NOT NULL
)""",
    # What is older than the chain stands in no link of it.
    """
CREATE TABLE audit_begin (
    sealed TEXT PRIMARY KEY,
    after_id {big} NOT NULL
)""",
    "INSERT INTO audit_begin SELECT 'decisions', COALESCE(MAX(id), 0) FROM decisions",
    "INSERT INTO audit_begin SELECT 'order_intent', COALESCE(MAX(id), 0) FROM order_intent",
    "INSERT INTO audit_begin VALUES ('state_changes', 0)",
    "CREATE INDEX decisions_decided ON decisions (decided_at_ns)",
    "CREATE INDEX signals_closed ON signals (kline_close_ns)",
    "CREATE INDEX actor_events_at ON actor_events (at_ns)",
)

# What the stream told, as long as somebody listened, has neither the venue's number nor a symbol.
_LISTED_INCOME = (
    """
CREATE TABLE income_listed (
    id {id},
    kind TEXT NOT NULL,
    transaction_id {big},
    symbol TEXT,
    asset TEXT,
    amount TEXT NOT NULL,
    wallet_balance TEXT,
    at_ns {big} NOT NULL,
    UNIQUE (kind, transaction_id, symbol, asset)
)""",
    """
INSERT INTO income_listed (kind, amount, wallet_balance, at_ns)
    SELECT kind, amount, wallet_balance, at_ns FROM income ORDER BY id""",
    "DROP TABLE income",
    "ALTER TABLE income_listed RENAME TO income",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _SPECIFIED,
    _JOURNAL_AND_BOOKS,
    _LEASE,
    _MONEY_SAFETY,
    _LISTED_INCOME,
)
VERSION = len(MIGRATIONS)
_MIGRATING = 7_462_101_823  # any number that nobody else locks


def version_of(database: Database) -> int:
    """Return the schema version found: 0 empty, 1 the specification's tables alone."""
    tables: Any = set(database.get_tables())
    if "schema_version" in tables:
        row = database.execute_sql("SELECT MAX(version) FROM schema_version").fetchone()
        return int(row[0])
    return 1 if "orders" in tables else 0


def check_version(found: int, where: str) -> None:
    """Refuse a schema of a newer program.  Raises ConfigurationError."""
    if found > VERSION:
        raise ConfigurationError(
            f"DB_FILE {where} has schema {found}, newer than this program's {VERSION}. "
            "Fix: run the newer program, or point DB_FILE at another database."
        )


def migrate(database: Database, where: str) -> int:
    """Bring the open database to `VERSION`; return the version found before.

    Call it inside a transaction, so that an upgrade that fails leaves nothing.  Raises
    ConfigurationError for a newer schema.
    """
    words = _SQLITE if isinstance(database, SqliteDatabase) else _POSTGRESQL
    found = version_of(database)
    if found < VERSION and not isinstance(database, SqliteDatabase):
        # Two bots that start at once must not both create what is missing.
        database.execute_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        found = version_of(database)
    check_version(found, where)
    for version in range(found + 1, VERSION + 1):
        for statement in MIGRATIONS[version - 1]:
            database.execute_sql(statement.format(**words).strip())
        if version > 1:  # version 1 has no table to note it in; step 2 does that for it
            database.execute_sql(f"INSERT INTO schema_version (version) VALUES ({version})")  # noqa: S608
    return found
