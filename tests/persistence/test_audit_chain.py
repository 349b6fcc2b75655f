"""One changed byte, or one row less, is found and named, in the chain and in what it seals."""

from dataclasses import replace

import pytest

from actors.edges.database import DatabaseManager
from core.messages import TradingState
from core.persistence.audit import GENESIS, Audit, Link, broken_links, link_hash
from core.persistence.machine import PersistenceMachine
from tests.persistence.builders import (
    T0,
    a_bracket,
    a_decision,
    a_moment,
    a_move,
    a_record,
    a_signal,
    a_state,
    kept,
)

_SESSION = (
    a_decision(),
    *map(a_record, a_bracket()),
    *(a_move("ACKED", intent.client_id) for intent in a_bracket()),
    a_move("FILLED", a_bracket()[0].client_id, venue_id=""),
    a_state(),
    a_state(symbol="ETHUSDT"),
    a_decision(proposal_id="p2", approved=False, confidence=0.1 + 0.2),
    a_state(TradingState.ACTIVE, at_ns=T0 + 7, latched_until_day=None),
)


@pytest.fixture
def traded(database: DatabaseManager) -> DatabaseManager:
    database.begin_epoch("venue", provenance={"settings": "5e77", "code": "c0de"})
    machine = PersistenceMachine(epoch=1)
    for message in _SESSION:
        database.apply(machine.handle(message, a_moment()))
    return database


def _run(database: DatabaseManager, sql: str) -> None:
    with database._connection.session() as opened:
        opened.execute_sql(sql)


def _seq(database: DatabaseManager, kind: str) -> int:
    sql = f"SELECT MIN(seq) FROM audit_chain WHERE kind = '{kind}'"  # noqa: S608
    with database._connection.session() as opened:
        return int(opened.execute_sql(sql).fetchone()[0])


def test_an_untouched_chain_holds_over_restarts(traded, db_url):
    verdict = traded.verify_audit()
    assert verdict.faults == ()
    assert verdict.links == 1 + len(_SESSION)
    assert traded.audit_head() == (verdict.links, verdict.head)
    traded.close()
    again = DatabaseManager(db_url)
    again.begin_epoch("venue")
    assert again.verify_audit().faults == ()
    assert again.verify_audit().links == verdict.links + 1
    again.close()


def test_a_repeated_fact_adds_no_link_but_a_repeated_move(traded):
    links = traded.verify_audit().links
    machine = PersistenceMachine(epoch=1)
    for message in _SESSION:
        if not hasattr(message, "executed"):
            traded.apply(machine.handle(message, a_moment()))
    assert traded.verify_audit().links == links


_TAMPERINGS = {
    "a decision's reason": "UPDATE decisions SET reason = 'x' WHERE id = 1",
    "a decision's number": "UPDATE decisions SET confidence = 0.3 WHERE proposal_id = 'p2'",
    "a decision gone": "DELETE FROM decisions WHERE id = 2",
    "an intent's quantity": "UPDATE order_intent SET quantity = '0.016' WHERE id = 2",
    "an intent's state": "UPDATE order_intent SET state = 'REJECTED' WHERE id = 1",
    "an intent gone": "DELETE FROM order_intent WHERE id = 3",
    "a state's reason": "UPDATE state_changes SET reason = 'day loss 201.20 of 300.00'",
    "a state gone": "DELETE FROM state_changes WHERE symbol = 'ETHUSDT'",
    "a state more": "INSERT INTO state_changes (symbol, state, reason_code, reason, at_ns, epoch)"
    " VALUES ('', 'ACTIVE', 'x', 'x', 1, 1)",
    "a link's content": "UPDATE audit_chain SET content = content || ' ' WHERE seq = 5",
    "a link's subject": "UPDATE audit_chain SET subject = 'nobody' WHERE seq = 5",
    "a link's time": "UPDATE audit_chain SET at_ns = at_ns + 1 WHERE seq = 5",
    "a link's hash": "UPDATE audit_chain SET hash = '0' WHERE seq = 5",
    "a link gone": "DELETE FROM audit_chain WHERE seq = 5",
    "the first link gone": "DELETE FROM audit_chain WHERE seq = 1",
    "the last link gone": "DELETE FROM audit_chain WHERE seq = 12",
    "the whole chain gone": "DELETE FROM audit_chain",
}


@pytest.mark.parametrize("what", _TAMPERINGS)
def test_tampering_is_found(traded, what):
    _run(traded, _TAMPERINGS[what])
    assert traded.verify_audit().faults, what


def test_a_fault_is_named_with_its_place(traded):
    _run(traded, _TAMPERINGS["a decision's reason"])
    (fault,) = traded.verify_audit().faults
    assert fault == f"decisions row 1 (p1@{T0 + 5}) changed (audit link 2)"
    _run(traded, _TAMPERINGS["a link gone"])
    assert any("audit link 5 is missing" in fault for fault in traded.verify_audit().faults)


def test_a_missing_or_changed_start_of_the_bot_is_found(traded):
    seq = _seq(traded, "epoch")
    _run(traded, f"UPDATE audit_chain SET content = '{{}}' WHERE seq = {seq}")  # noqa: S608
    assert traded.verify_audit().faults == (f"audit link {seq} (epoch 1) changed",)


def test_what_an_older_program_stored_is_no_fault(traded):
    _run(traded, "DELETE FROM audit_chain")
    _run(traded, "UPDATE audit_begin SET after_id = 100")
    assert traded.verify_audit().faults == ()


def test_pruning_leaves_a_chain_that_verifies_and_still_finds_tampering(database):
    database.begin_epoch("venue")
    machine = PersistenceMachine(epoch=1)
    day_ns = 86_400 * 10**9
    for day in range(20):
        at_ns = T0 + day * day_ns
        told = [
            a_decision(proposal_id=f"p{day}", decided_at_ns=at_ns),
            a_state(at_ns=at_ns),
            a_signal(kline_close_ns=at_ns),
        ]
        for message in told:
            database.apply(machine.handle(message, replace(a_moment(), venue_ns=at_ns)))
    now_ns = T0 + 20 * day_ns
    while database.prune(now_ns, kept(10)):
        assert database.verify_audit().faults == ()
    verdict = database.verify_audit()
    assert verdict.links < 41
    links = verdict.links
    assert database.prune(now_ns, kept(10)) == 0  # and no checkpoint for nothing
    assert database.verify_audit().links == links
    while database.prune(now_ns, kept(5)):
        assert database.verify_audit().faults == ()
    with database._connection.session() as opened:
        first = opened.execute_sql("SELECT MIN(seq) FROM audit_chain").fetchone()[0]
    _run(database, f"DELETE FROM audit_chain WHERE seq = {first}")  # noqa: S608
    assert f"audit link {first} is missing" in database.verify_audit().faults[0]


def test_a_clock_that_is_wrong_empties_nothing(traded):
    traded.apply(PersistenceMachine(epoch=1).handle(a_signal(), a_moment()))
    far_ns = T0 + 3_000 * 86_400 * 10**9
    traded.prune(far_ns, kept(1))
    with traded._connection.session() as opened:
        assert opened.execute_sql("SELECT COUNT(*) FROM decisions").fetchone()[0] == 2


def test_every_single_changed_character_of_a_link_breaks_the_chain():
    audits = [Audit("move", f"c{n}", f'["ACKED",{n}]', T0 + n) for n in range(3)]
    links, previous = [], GENESIS
    for seq, audit in enumerate(audits, 1):
        previous = link_hash(previous, seq, audit)
        links.append(Link(seq, audit, previous))
    assert broken_links(links, 1, GENESIS) == ()
    for position, link in enumerate(links):
        for name in ("kind", "subject", "content"):
            text = getattr(link.audit, name)
            for at in range(len(text)):
                changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
                forged = [*links]
                forged[position] = replace(link, audit=replace(link.audit, **{name: changed}))
                assert len(broken_links(forged, 1, GENESIS)) == 1
