"""The audit chain in the database: appended in the writer's own transaction, verified, pruned."""

import json
from collections.abc import Iterator
from typing import Any

from peewee import Database, Model

from actors.edges.tables import (
    AuditRow,
    DecisionRow,
    IntentRow,
    StateRow,
)
from core.persistence.audit import (
    CHECKPOINT,
    GENESIS,
    MOVE,
    SEALED,
    Audit,
    Link,
    Verdict,
    broken_links,
    canonical,
    link_hash,
    seal,
    subject_of,
)

_MODELS: dict[str, type[Model]] = {
    "decisions": DecisionRow,
    "order_intent": IntentRow,
    "state_changes": StateRow,
}
_FAULTS_MAX = 50  # a ruined chain is ruined: nobody reads a million lines
_APPEND = "INSERT INTO audit_chain (seq, kind, subject, content, at_ns, hash) VALUES ({})"
_HEAD = "SELECT seq, hash FROM audit_chain ORDER BY seq DESC LIMIT 1"


class AuditTrail:
    """Appends to the chain.  The calls with a `database` run in its open transaction.

    The newest link is remembered between commits: `forget` it whenever a transaction may not have
    been kept, or another process may have written.
    """

    def __init__(self) -> None:
        self._head: tuple[int, str] | None = None
        self._kept = 0  # the newest link known to be on disk
        self._sql = ""

    def append(self, database: Database, audit: Audit) -> None:
        """Add a link."""
        number, previous = self.head(database)
        seq = number + 1
        hashed = link_hash(previous, seq, audit)
        if not self._sql:
            self._sql = _APPEND.format(", ".join([database.param] * 6))
        row = (seq, audit.kind, audit.subject, audit.content, audit.at_ns, hashed)
        database.execute_sql(self._sql, row)
        self._head = (seq, hashed)

    def head(self, database: Database) -> tuple[int, str]:
        """Return number and hash of the newest link; 0 and zeros before the first."""
        if self._head is None:
            found = database.execute_sql(_HEAD).fetchone()
            self._head = (0, GENESIS) if found is None else (int(found[0]), str(found[1]))
        return self._head

    def forget(self) -> None:
        """Read the newest link again when it is needed next."""
        self._head = None

    def committed(self) -> None:
        """Note that what was appended is on disk."""
        self._kept = max(self._kept, 0 if self._head is None else self._head[0])

    def check_nothing_lost(self, database: Database) -> None:
        """Refuse an older copy of what was in use: rows that were acknowledged are not in it.

        Raises OSError.
        """
        self.forget()
        newest, _ = self.head(database)
        if newest < self._kept:
            raise OSError(
                f"an older copy of it is in its place: audit link {newest} is its newest,"
                f" {self._kept} was committed"
            )

    def prune(self, database: Database, before_ns: int, limit: int) -> int:
        """Remove up to `limit` decisions, and as many links, older than this venue time.

        What is left stays verifiable: a checkpoint, itself a link, says where the chain now begins
        and what hash stood before.  Returns how many rows went.
        """
        self.head(database)  # remembered, for its row may be among those that go
        old = DecisionRow.select(DecisionRow.id).where(DecisionRow.decided_at_ns < before_ns)
        ids = [row[0] for row in old.limit(limit).tuples().execute(database)]
        first, last = self._prefix(database, before_ns, limit)
        if not ids and last < first:
            return 0
        if ids:
            DecisionRow.delete().where(DecisionRow.id.in_(ids)).execute(database)
        begins, before = _begin(database)
        if last >= first:
            cut = AuditRow.select(AuditRow.hash).where(AuditRow.seq == last)
            begins, before = last + 1, str(cut.scalar(database))
            AuditRow.delete().where(AuditRow.seq <= last).execute(database)
        said = {"first": begins, "hash": before, "pruned_before_ns": before_ns}
        self.append(database, Audit(CHECKPOINT, "retention", canonical(said), before_ns))
        return len(ids) + max(0, last - first + 1)

    def _prefix(self, database: Database, before_ns: int, limit: int) -> tuple[int, int]:
        """Return the first and the last of the leading links that are all old enough."""
        leading = AuditRow.select(AuditRow.seq, AuditRow.at_ns, AuditRow.kind)
        rows = leading.order_by(AuditRow.seq).limit(limit).tuples().execute(database)
        first, last, worth = 0, -1, False
        for seq, at_ns, kind in rows:
            if at_ns >= before_ns:
                break
            first, last = first or int(seq), int(seq)
            worth |= kind != CHECKPOINT  # else each checkpoint would only replace the one before
        return (first, last) if worth else (0, -1)


def _begin(database: Database) -> tuple[int, str]:
    """Return the number of the first link that must stand, and the hash before it."""
    said = _newest_checkpoint(database)
    return (1, GENESIS) if said is None else (int(said["first"]), str(said["hash"]))


def _newest_checkpoint(database: Database) -> dict[str, Any] | None:
    query = AuditRow.select(AuditRow.content).where(AuditRow.kind == CHECKPOINT)
    text = query.order_by(AuditRow.seq.desc()).limit(1).scalar(database)
    return None if text is None else dict(json.loads(text))


# ---------------------------------------- verifying
def verify(database: Database) -> Verdict:
    """Check every link, and every sealed row against its link, both ways."""
    first, previous = _begin(database)
    links = [
        Link(int(seq), Audit(kind, subject, content, int(at_ns)), hashed)
        for seq, kind, subject, content, at_ns, hashed in AuditRow.select()
        .order_by(AuditRow.seq)
        .tuples()
        .execute(database)
    ]
    faults = list(broken_links(links, first, previous))
    checkpoint = _newest_checkpoint(database)
    kept_from_ns = 0 if checkpoint is None else int(checkpoint["pruned_before_ns"])
    for table in SEALED:
        faults += _unsealed(database, table, links, kept_from_ns)
    faults += _unmoved(database, links)
    return Verdict(
        links=len(links),
        head=links[-1].hash if links else GENESIS,
        faults=tuple(faults[:_FAULTS_MAX]),
    )


def _unsealed(
    database: Database, table: str, links: list[Link], kept_from_ns: int
) -> Iterator[str]:
    """Yield the rows of a table that are not as their links say, and links or rows alone."""
    model = _MODELS[table]
    sealed = {link.audit.subject: link for link in links if link.audit.kind == table}
    after = database.execute_sql(
        f"SELECT after_id FROM audit_begin WHERE sealed = {database.param}",  # noqa: S608
        (table,),
    ).fetchone()
    rows = model.select().where(model.id > (0 if after is None else after[0]))  # type: ignore[attr-defined]
    seen = set()
    for row in rows.dicts().execute(database):
        subject = subject_of(table, row)
        seen.add(subject)
        link = sealed.get(subject)
        if link is None:
            if _stamp(table, row) >= kept_from_ns:
                yield f"{table} row {row['id']} ({subject}) stands in no audit link"
        elif link.audit.content != seal(table, row):
            yield f"{table} row {row['id']} ({subject}) changed (audit link {link.seq})"
    for subject, link in sealed.items():
        pruned = table == "decisions" and link.audit.at_ns < kept_from_ns
        if subject not in seen and not pruned:
            yield f"{table} row {subject} was removed (audit link {link.seq})"


def _stamp(table: str, row: dict[str, Any]) -> int:
    """Return the venue time that the row's link bears."""
    column = {"decisions": "decided_at_ns", "order_intent": "recorded_at_venue_ns"}
    return int(row[column.get(table, "at_ns")])


def _unmoved(database: Database, links: list[Link]) -> Iterator[str]:
    """Yield the intents that stand elsewhere than their last move in the chain left them."""
    moved = {link.audit.subject: link for link in links if link.audit.kind == MOVE}
    columns = ("state", "venue_id", "executed", "average_price", "reason")
    for row in IntentRow.select().dicts().execute(database):
        link = moved.get(row["client_id"])
        if link is None:
            continue
        told, stands = json.loads(link.audit.content), [row[name] for name in columns]
        told[1] = told[1] or stands[1]  # a move that does not know the venue's id keeps it
        if told != stands:
            yield (
                f"order_intent row {row['id']} ({row['client_id']}) does not stand as"
                f" audit link {link.seq} left it"
            )
