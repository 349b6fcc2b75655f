import os
import socket
import threading
from pathlib import Path

import pytest

from actors.edges.service_notify import ServiceNotify
from actors.shutdown import LastResort, within
from tests.actors.world import PATIENCE_S, ROW, Tree, WaitFor


def test_a_step_that_hangs_is_left_behind_and_one_that_raises_does_not_stop_the_others() -> None:
    go, ran = threading.Event(), threading.Event()

    def fail() -> None:
        raise SystemExit(3)

    assert not within(0.01, "hanging", go.wait)
    assert within(PATIENCE_S, "failing", fail)
    assert within(PATIENCE_S, "good", ran.set)
    assert ran.is_set()
    go.set()


def test_all_others_shut_down_although_one_hangs(tree: Tree) -> None:
    taken, go = threading.Event(), threading.Event()
    tree.tell("risk", WaitFor(taken=taken, go=go))
    assert taken.wait(PATIENCE_S)
    assert tree.stop(within_s=0.05) == ["risk"]
    for name in (*ROW, "symbol/BTCUSDT", "symbol/ETHUSDT"):
        if name != "risk":
            tree.expect(name, "shut down")
    go.set()
    tree.expect("risk", "shut down")


def test_the_last_resort_leaves_with_its_code_once(capfd: pytest.CaptureFixture[str]) -> None:
    left: list[int] = []
    gone = threading.Event()

    def leave(code: int) -> None:
        left.append(code)
        gone.set()

    last_resort = LastResort(leave)
    last_resort.arm(70, 0.01)
    last_resort.arm(0, 0.0)
    assert gone.wait(PATIENCE_S)
    assert left == [70]
    assert "leaving by force" in capfd.readouterr().err


def test_the_last_resort_can_be_called_off() -> None:
    left: list[int] = []
    last_resort = LastResort(left.append)
    last_resort.call_off()
    last_resort.arm(70, 0.0)
    for thread in threading.enumerate():
        if thread.name == "last resort":
            thread.join(PATIENCE_S)
    assert left == []


def heard(listener: socket.socket) -> str:
    listener.settimeout(PATIENCE_S)
    return listener.recv(1_000).decode()


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_how_things_stand(tmp_path: Path, abstract: bool) -> None:
    name = f"\0bot-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        environ = {"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "30000000"}
        notify = ServiceNotify(environ)
        assert environ == {}  # no child speaks in our name
        notify.ready("trading 5 symbols")
        assert heard(listener) == "READY=1\nSTATUS=trading 5 symbols"
        for well in (False, True):
            notify.alive(well)
        assert heard(listener) == "WATCHDOG=1"
        notify.stopping()
        assert heard(listener) == "STOPPING=1"
        notify.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    notify = ServiceNotify(environ)
    notify.ready("x")
    for well in (False, True):
        notify.alive(well)
    notify.stopping()
    notify.close()
