from pathlib import Path

from actors.directory import Directory
from actors.feed import FeedActor
from actors.mailbox import Mailbox
from actors.tracing import Tracer
from actors.trading_actor import ActorContext
from core.messages import StreamUp
from tests.actors.world import HandClock


def first_words(folder: Path, generation: int) -> list[tuple[str, int]]:
    tracer = Tracer(folder, 1)
    directory = Directory(epoch=1, clock=HandClock(), tracer=tracer)
    context = ActorContext(
        name="feed",
        generation=generation,
        mailbox=Mailbox("feed", directory.bury),
        directory=directory,
    )
    said = list(FeedActor(context, ("BTCUSDT",)).start_up())
    tracer.close()
    assert all(isinstance(message, StreamUp) for message in said)
    return [(message.stream, message.connection) for message in said]


def test_the_first_feed_waits_for_the_streams_to_speak(tmp_path: Path) -> None:
    assert first_words(tmp_path, 1) == []


def test_a_successor_tells_both_streams_up_for_their_own_word_may_be_lost(tmp_path: Path) -> None:
    assert first_words(tmp_path, 2) == [("private", 2), ("market", 2)]
