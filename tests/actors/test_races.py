"""What pykka leaves unanswered when a question meets a stop (one in two thousand, measured)."""

import threading
from contextlib import suppress
from typing import Any

import pykka

from actors.directory import Directory
from actors.mailbox import Mailbox
from actors.tracing import Tracer
from actors.trading_actor import ActorContext, TradingActor
from tests.actors.world import PATIENCE_S, HandClock

ASKERS, ROUNDS, IN_A_ROW = 4, 500, 50  # 10^5 questions


class Silent(TradingActor):
    """Takes whatever is asked."""

    def handle(self, message: Any) -> tuple[()]:
        return ()


def test_no_question_stays_unanswered_when_it_meets_the_stop(tmp_path: Any) -> None:
    tracer = Tracer(tmp_path, 1)
    directory = Directory(epoch=1, clock=HandClock(), tracer=tracer)
    current: list[pykka.ActorRef[Silent]] = []
    begin, done = threading.Barrier(ASKERS + 1), threading.Barrier(ASKERS + 1)
    ended = [0] * ASKERS

    def ask(number: int) -> None:
        for _ in range(ROUNDS):
            begin.wait(PATIENCE_S)
            futures = []
            for _ in range(IN_A_ROW):
                with suppress(pykka.ActorDeadError):
                    futures.append(current[-1].ask("anything", block=False))
            ended[number] += IN_A_ROW - len(futures)
            for future in futures:
                with suppress(pykka.ActorDeadError):
                    future.get(timeout=PATIENCE_S)  # pykka.Timeout fails the test
                ended[number] += 1
            done.wait(PATIENCE_S)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(ASKERS)]
    for thread in threads:
        thread.start()
    for _ in range(ROUNDS):
        mailbox = Mailbox("silent", directory.bury)
        context = ActorContext(
            name="supervisor", generation=1, mailbox=mailbox, directory=directory
        )
        current.append(Silent.start(context))
        begin.wait(PATIENCE_S)
        current[-1].stop(block=False)
        done.wait(PATIENCE_S)
    for thread in threads:
        thread.join(PATIENCE_S)
    tracer.close()
    assert sum(ended) == ASKERS * ROUNDS * IN_A_ROW
