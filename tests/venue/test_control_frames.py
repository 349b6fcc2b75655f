"""Control frames of the stream sockets, answered as documented."""

import json

import pytest

from core.venue.simulated.control import STREAMS_MAX, Subscriptions


def answered(subscriptions: Subscriptions, **frame: object) -> dict:
    return subscriptions.answer(json.dumps(frame))


def test_subscriptions_come_and_go_and_are_listed_in_order():
    one = Subscriptions(["a"])
    assert answered(one, method="SUBSCRIBE", params=["b", "c"], id=1) == {"result": None, "id": 1}
    assert answered(one, method="UNSUBSCRIBE", params=["a", "z"], id="x")["result"] is None
    assert answered(one, method="LIST_SUBSCRIPTIONS", id=3) == {"result": ["b", "c"], "id": 3}


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, "7d9c-uuid", ""])
def test_ids_are_echoed_as_they_came(number):
    assert answered(Subscriptions(), method="LIST_SUBSCRIPTIONS", id=number)["id"] == number


def test_the_form_of_the_frames_is_a_property():
    one = Subscriptions()
    assert answered(one, method="GET_PROPERTY", params=["combined"], id=1)["result"] is False
    assert answered(one, method="SET_PROPERTY", params=["combined", True], id=2)["result"] is None
    assert answered(one, method="GET_PROPERTY", params=["combined"], id=3)["result"] is True
    assert one.combined


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"method": "SET_PROPERTY", "params": ["colour", True], "id": 1}, 0),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0),
        ({"method": "SET_PROPERTY", "params": ["combined", "yes"], "id": 1}, 1),
        ({"method": "SET_PROPERTY", "params": ["combined"], "id": 1}, 1),
        ({"method": "SET_PROPERTY", "params": [7, True], "id": 1}, 2),
        ({"method": "GET_PROPERTY", "params": ["combined", 1], "id": 1}, 2),
        ({"method": "DANCE", "id": 1}, 2),
        ({"method": 5, "id": 1}, 2),
        ({"id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": [1], "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": "btcusdt@ticker", "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": ["x"] * 1 + [f"s{n}" for n in range(1024)], "id": 1}, 2),
    ],
)
def test_wrong_frames_get_their_documented_code_and_change_nothing(frame, code):
    one = Subscriptions(["kept"])
    answer = one.answer(json.dumps(frame))
    assert (answer["code"], answer["id"]) == (code, 1)
    assert answer["msg"]
    assert list(one.names) == ["kept"]


@pytest.mark.parametrize("number", [-1, 1.5, True, [], {}, "x" * 65, 2**70])
def test_other_ids_are_refused(number):
    answer = answered(Subscriptions(), method="SUBSCRIBE", params=["a"], id=number)
    assert answer["code"] == 2
    assert "id" not in answer


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[" * 10_000, '"\\ud800"', '{"a":1e}'])
def test_what_is_no_json_is_code_3(text):
    assert Subscriptions().answer(text)["code"] == 3


def test_a_connection_holds_1024_streams():
    one = Subscriptions()
    names = [f"s{number}" for number in range(STREAMS_MAX)]
    assert answered(one, method="SUBSCRIBE", params=names, id=1)["result"] is None
    assert answered(one, method="SUBSCRIBE", params=names[:5], id=2)["result"] is None
    assert answered(one, method="SUBSCRIBE", params=["more"], id=3)["code"] == 2
