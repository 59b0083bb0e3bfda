# SPDX-License-Identifier: MIT
"""The xenstore that the judge gives to a target, and its wire protocol."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.errors import AdapterError
from conformance.links.xenstore import QUOTA, TOOLSTACK, StoreError, XenStore
from conformance.links.xenstore_wire import (
    PAYLOAD_MAX,
    Message,
    Op,
    StoreServer,
    take_messages,
)

FRONT, BACK = 1, 0
DEVICE = "/local/domain/1/device/vtpm/0"
BACKEND = "/local/domain/0/backend/vtpm/1/0"

Seen = list[tuple[int, str, str, str | None, int, bool]]
Fired = list[tuple[str, str, str]]


@pytest.fixture
def seen() -> Seen:
    """Every operation that the store has told of."""
    return []


@pytest.fixture
def store(seen: Seen) -> XenStore:
    store = XenStore(lambda *operation: seen.append(operation))
    store.own(DEVICE, FRONT)
    store.own(BACKEND, BACK)
    return store


def refused(name: str, call: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(StoreError) as raised:
        call(*arguments)
    assert str(raised.value) == name


# Nodes.


def test_a_node_is_read_by_everybody(store: XenStore) -> None:
    assert store.read(BACK, f"{DEVICE}/state") is None
    store.write(FRONT, f"{DEVICE}/state", "1")
    assert store.read(BACK, f"{DEVICE}/state") == store.read(FRONT, f"{DEVICE}/state") == "1"
    store.write(FRONT, f"{DEVICE}/state", "")
    assert store.read(BACK, f"{DEVICE}/state") == ""


def test_a_directory(store: XenStore) -> None:
    for name in ("state", "ring-ref", "extra/deep", "extra/deeper/still"):
        store.write(FRONT, f"{DEVICE}/{name}", "")
    store.write(TOOLSTACK, f"{DEVICE}0/state", "1")
    assert store.directory(BACK, DEVICE) == ["extra", "ring-ref", "state"]
    assert store.directory(BACK, f"{DEVICE}/extra") == ["deep", "deeper"]
    assert store.directory(BACK, f"{DEVICE}/state") == []
    assert store.directory(BACK, f"{DEVICE}/none") is None


def test_only_the_owner_and_the_toolstack_write(store: XenStore) -> None:
    store.write(TOOLSTACK, f"{DEVICE}/backend-id", "0")
    store.write(FRONT, DEVICE, "")
    store.write(FRONT, f"{DEVICE}/state", "1")
    for domid in (BACK, 7):
        refused("EACCES", store.write, domid, f"{DEVICE}/state", "4")
        refused("EACCES", store.remove, domid, f"{DEVICE}/state")
    # A name that only begins like the directory is not below it.
    refused("EACCES", store.write, FRONT, f"{DEVICE}0/state", "1")
    refused("EACCES", store.write, FRONT, "/local/domain/1/name", "x")
    assert store.read(BACK, f"{DEVICE}/state") == "1"


def test_remove_takes_all_below(store: XenStore) -> None:
    for name in ("a", "a/b", "a/b/c", "ab"):
        store.write(FRONT, f"{DEVICE}/{name}", name)
    store.remove(FRONT, f"{DEVICE}/a")
    assert store.directory(FRONT, DEVICE) == ["ab"]
    refused("ENOENT", store.remove, FRONT, f"{DEVICE}/a")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "relative",
        "/trailing/",
        "//",
        "/two//slashes",
        "/a space",
        "/dot.",
        "/new\nline",
        "/a\n",
        "/" + 3072 * "x",
    ],
)
def test_what_is_no_path(store: XenStore, path: str) -> None:
    refused("EINVAL", store.read, FRONT, path)
    refused("EINVAL", store.directory, FRONT, path)
    refused("EINVAL", store.write, TOOLSTACK, path, "")
    refused("EINVAL", store.remove, TOOLSTACK, path)
    refused("EINVAL", store.watch, FRONT, path, "t", lambda *_: None)


def test_the_longest_path(store: XenStore) -> None:
    store.write(TOOLSTACK, "/" + 3071 * "x", "1")
    assert store.read(FRONT, "/" + 3071 * "x") == "1"


def test_every_operation_is_told(store: XenStore, seen: Seen) -> None:
    state = f"{DEVICE}/state"
    store.write(FRONT, state, "1")
    refused("EACCES", store.write, BACK, state, "4")
    store.read(BACK, state)
    store.read(BACK, f"{DEVICE}/none")
    tx = store.start(FRONT)
    store.write(FRONT, state, "2", tx)
    store.end(FRONT, tx, commit=True)
    store.watch(BACK, state, "t", lambda *_: None)
    store.remove(FRONT, state)
    assert seen == [
        (FRONT, "write", state, "1", 0, True),
        (BACK, "write", state, "4", 0, False),
        (BACK, "read", state, "1", 0, True),
        (BACK, "read", f"{DEVICE}/none", None, 0, False),
        (FRONT, "start", "", None, tx, True),
        (FRONT, "write", state, "2", tx, True),
        (FRONT, "end", "", None, tx, True),
        (BACK, "watch", state, None, 0, True),
        (FRONT, "rm", state, None, 0, True),
    ]


# Quotas.


def test_the_quota_on_nodes_is_that_of_a_domain(store: XenStore) -> None:
    for number in range(QUOTA):
        store.write(FRONT, f"{DEVICE}/{number}", "")
    refused("ENOSPC", store.write, FRONT, f"{DEVICE}/more", "")
    # Who may not write is told that, not that there is no room.
    refused("EACCES", store.write, BACK, f"{DEVICE}/more", "")
    store.write(FRONT, f"{DEVICE}/0", "again")
    store.write(BACK, f"{BACKEND}/state", "1")
    store.remove(FRONT, f"{DEVICE}/0")
    store.write(FRONT, f"{DEVICE}/more", "")


def test_the_quota_on_nodes_holds_in_a_transaction(store: XenStore) -> None:
    tx = store.start(FRONT)
    for number in range(QUOTA):
        store.write(FRONT, f"{DEVICE}/{number}", "", tx)
    refused("ENOSPC", store.write, FRONT, f"{DEVICE}/more", "", tx)
    store.write(FRONT, f"{DEVICE}/more", "")


def test_the_quota_on_transactions_and_watches(store: XenStore) -> None:
    started = [store.start(FRONT) for _ in range(QUOTA)]
    refused("ENOSPC", store.start, FRONT)
    store.start(BACK)
    store.end(FRONT, started[0], commit=False)
    store.start(FRONT)
    for number in range(QUOTA):
        store.watch(FRONT, DEVICE, str(number), lambda *_: None)
    refused("ENOSPC", store.watch, FRONT, DEVICE, "more", lambda *_: None)
    store.watch(BACK, DEVICE, "t", lambda *_: None)
    store.unwatch(FRONT, DEVICE, "0")
    store.watch(FRONT, DEVICE, "more", lambda *_: None)


# Transactions.


def test_a_commit_shows_all_at_once(store: XenStore) -> None:
    tx = store.start(FRONT)
    store.write(FRONT, f"{DEVICE}/ring-ref", "8", tx)
    assert store.read(FRONT, f"{DEVICE}/ring-ref", tx) == "8"
    assert store.directory(FRONT, DEVICE, tx) == ["ring-ref"]
    assert store.read(BACK, f"{DEVICE}/ring-ref") is None
    assert store.directory(BACK, DEVICE) is None
    assert store.end(FRONT, tx, commit=True) is True
    assert store.read(BACK, f"{DEVICE}/ring-ref") == "8"


def test_an_abort_leaves_nothing(store: XenStore) -> None:
    store.write(FRONT, f"{DEVICE}/state", "1")
    tx = store.start(FRONT)
    store.write(FRONT, f"{DEVICE}/state", "2", tx)
    store.write(FRONT, f"{DEVICE}/ring-ref", "8", tx)
    assert store.end(FRONT, tx, commit=False) is False
    assert store.read(BACK, f"{DEVICE}/state") == "1"
    assert store.read(BACK, f"{DEVICE}/ring-ref") is None


@pytest.mark.parametrize("touch", ["read", "write", "absent", "directory"])
def test_a_commit_that_met_another_is_refused(store: XenStore, touch: str, seen: Seen) -> None:
    store.write(BACK, f"{BACKEND}/state", "1")
    tx = store.start(BACK)
    if touch == "write":
        store.write(BACK, f"{BACKEND}/state", "2", tx)
    elif touch == "read":
        store.read(BACK, f"{BACKEND}/state", tx)
    elif touch == "absent":
        store.read(BACK, f"{BACKEND}/new", tx)
    else:
        store.directory(BACK, BACKEND, tx)
    store.write(BACK, f"{BACKEND}/mine", "x", tx)
    store.write(TOOLSTACK, f"{BACKEND}/{'new' if touch == 'absent' else 'state'}", "5")
    refused("EAGAIN", store.end, BACK, tx, True)
    assert seen[-1] == (BACK, "end", "", None, tx, False)
    assert store.read(BACK, f"{BACKEND}/mine") is None
    # It is over: again from the start.
    refused("ENOENT", store.end, BACK, tx, True)
    again = store.start(BACK)
    store.write(BACK, f"{BACKEND}/mine", "x", again)
    assert store.end(BACK, again, commit=True)


def test_a_change_of_something_else_does_not_matter(store: XenStore) -> None:
    tx = store.start(FRONT)
    store.write(FRONT, f"{DEVICE}/ring-ref", "8", tx)
    store.write(FRONT, f"{DEVICE}/state", "1")
    store.write(BACK, f"{BACKEND}/state", "1")
    assert store.end(FRONT, tx, commit=True)


def test_a_conflict_does_not_matter_to_an_abort(store: XenStore) -> None:
    tx = store.start(FRONT)
    store.read(FRONT, f"{DEVICE}/state", tx)
    store.write(FRONT, f"{DEVICE}/state", "1")
    assert store.end(FRONT, tx, commit=False) is False


def test_a_transaction_belongs_to_one_domain(store: XenStore) -> None:
    tx = store.start(FRONT)
    for call in (
        lambda: store.read(BACK, f"{DEVICE}/state", tx),
        lambda: store.write(BACK, f"{BACKEND}/state", "1", tx),
        lambda: store.end(BACK, tx, commit=True),
        lambda: store.end(FRONT, 0, commit=True),
        lambda: store.read(FRONT, f"{DEVICE}/state", tx + 1),
    ):
        refused("ENOENT", call)


def test_remove_in_a_transaction(store: XenStore) -> None:
    store.write(FRONT, f"{DEVICE}/old", "1")
    tx = store.start(FRONT)
    store.write(FRONT, f"{DEVICE}/new", "2", tx)
    store.remove(FRONT, f"{DEVICE}/new", tx)
    store.remove(FRONT, f"{DEVICE}/old", tx)
    refused("ENOENT", store.remove, FRONT, f"{DEVICE}/old", tx)
    assert store.directory(FRONT, DEVICE, tx) is None
    assert store.directory(BACK, DEVICE) == ["old"]
    store.end(FRONT, tx, commit=True)
    assert store.directory(BACK, DEVICE) is None


names = st.sampled_from(["a", "b", "c", "a/x"])
changes = st.lists(st.tuples(names, st.one_of(st.none(), st.sampled_from(["1", "2"]))), max_size=6)


@given(changes, changes, changes)
def test_a_transaction_is_all_or_nothing(
    before: list[tuple[str, str | None]],
    inside: list[tuple[str, str | None]],
    outside: list[tuple[str, str | None]],
) -> None:
    store = XenStore(lambda *_: None)
    store.own(DEVICE, FRONT)

    def apply(steps: list[tuple[str, str | None]], tx: int, nodes: dict[str, str]) -> set[str]:
        """Take the steps in the store and in ``nodes``; return the names they changed."""
        changed = set()
        for name, value in steps:
            if value is not None:
                store.write(FRONT, f"{DEVICE}/{name}", value, tx)
                nodes[name] = value
                changed.add(name)
            elif gone := [n for n in nodes if n == name or n.startswith(f"{name}/")]:
                store.remove(FRONT, f"{DEVICE}/{name}", tx)
                for each in gone:
                    del nodes[each]
                changed.update(gone)
        return changed

    def contents() -> dict[str, str]:
        found = {name: store.read(BACK, f"{DEVICE}/{name}") for name in ("a", "b", "c", "a/x")}
        return {name: value for name, value in found.items() if value is not None}

    nodes: dict[str, str] = {}
    apply(before, 0, nodes)
    tx = store.start(FRONT)
    committed = dict(nodes)
    mine = apply(inside, tx, committed)
    others = dict(nodes)
    apply(outside, 0, others)
    assert contents() == others
    try:
        store.end(FRONT, tx, commit=True)
    except StoreError:
        assert contents() == others
    else:
        assert contents() == {
            name: value
            for name in ("a", "b", "c", "a/x")
            if (value := (committed if name in mine else others).get(name)) is not None
        }


# Watches.


def test_a_watch_fires_at_once_and_at_each_change_below(store: XenStore) -> None:
    fired: Fired = []
    store.watch(BACK, DEVICE, "t", lambda *event: fired.append(event))
    assert fired == [(DEVICE, "t", DEVICE)]
    store.write(FRONT, f"{DEVICE}/state", "1")
    store.write(FRONT, f"{DEVICE}/state", "1")
    store.write(FRONT, f"{DEVICE}/extra/deep", "")
    store.remove(FRONT, f"{DEVICE}/state")
    assert [changed for _, _, changed in fired[1:]] == [
        f"{DEVICE}/state",
        f"{DEVICE}/state",
        f"{DEVICE}/extra/deep",
        f"{DEVICE}/state",
    ]


def test_a_watch_does_not_fire_for_others(store: XenStore) -> None:
    fired: Fired = []
    store.write(FRONT, f"{DEVICE}/state", "1")
    store.watch(BACK, f"{DEVICE}/state", "t", lambda *event: fired.append(event))
    fired.clear()
    store.write(FRONT, f"{DEVICE}/state-of-mind", "1")
    store.write(FRONT, f"{DEVICE}/ring-ref", "8")
    store.write(BACK, f"{BACKEND}/state", "1")
    store.read(FRONT, f"{DEVICE}/state")
    refused("EACCES", store.write, BACK, f"{DEVICE}/state", "4")
    assert fired == []


def test_a_watch_fires_after_the_commit(store: XenStore) -> None:
    found: list[tuple[str, str | None]] = []

    def look(path: str, token: str, changed: str) -> None:
        found.append((changed.rsplit("/")[-1], store.read(BACK, f"{DEVICE}/port")))

    store.watch(BACK, DEVICE, "t", look)
    tx = store.start(FRONT)
    store.write(FRONT, f"{DEVICE}/ring-ref", "8", tx)
    store.write(FRONT, f"{DEVICE}/port", "1", tx)
    assert found == [("0", None)]
    store.end(FRONT, tx, commit=True)
    assert found == [("0", None), ("ring-ref", "1"), ("port", "1")]
    aborted = store.start(FRONT)
    store.write(FRONT, f"{DEVICE}/port", "2", aborted)
    store.end(FRONT, aborted, commit=False)
    assert len(found) == 3


def test_unwatch(store: XenStore) -> None:
    fired: Fired = []
    for token in ("t", "u"):
        store.watch(BACK, DEVICE, token, lambda *event: fired.append(event))
    refused("EEXIST", store.watch, BACK, DEVICE, "t", lambda *_: None)
    store.watch(FRONT, DEVICE, "t", lambda *_: None)
    store.unwatch(BACK, DEVICE, "t")
    refused("ENOENT", store.unwatch, BACK, DEVICE, "t")
    fired.clear()
    store.write(FRONT, f"{DEVICE}/state", "1")
    assert fired == [(DEVICE, "u", f"{DEVICE}/state")]


def test_a_watch_of_everything(store: XenStore) -> None:
    fired: Fired = []
    store.watch(BACK, "/", "t", lambda *event: fired.append(event))
    store.write(FRONT, f"{DEVICE}/state", "1")
    assert fired == [("/", "t", "/"), ("/", "t", f"{DEVICE}/state")]


# The wire.

messages = st.builds(
    Message,
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=40),
)


def test_the_bytes_of_a_message() -> None:
    message = Message(Op.READ, 7, 0x01020304, b"state\0")
    assert message.pack() == bytes.fromhex("02000000 07000000 04030201 06000000") + b"state\0"
    assert [int(op) for op in (Op.WRITE, Op.WATCH_EVENT, Op.ERROR)] == [11, 15, 16]


@given(st.lists(messages), st.lists(st.integers(1, 60)))
def test_messages_split_and_merged(sent: list[Message], cuts: list[int]) -> None:
    stream = b"".join(message.pack() for message in sent)
    buffer = bytearray()
    received: list[Message] = []
    for size in [*cuts, len(stream)]:
        buffer += stream[:size]
        stream = stream[size:]
        received += take_messages(buffer)
    assert received == sent
    assert buffer == b""


def test_a_payload_that_is_too_long_after_one_that_is_not() -> None:
    fits = Message(Op.WRITE, 0, 0, bytes(PAYLOAD_MAX))
    buffer = bytearray(fits.pack() + struct.pack("<IIII", 11, 0, 0, PAYLOAD_MAX + 1))
    taken = take_messages(buffer)
    assert next(taken) == fits
    with pytest.raises(AdapterError, match="a payload of 4097 bytes; a message has at most 4096"):
        next(taken)


class Client:
    """One domain at the other end of the wire."""

    def __init__(self, store: XenStore, domid: int) -> None:
        self._received = bytearray()
        self._server = StoreServer(store, domid, self._received.extend)
        self.events: list[bytes] = []

    def ask(self, op: int, payload: bytes, tx: int = 0) -> tuple[int, bytes]:
        """The reply; watch events are kept."""
        self._server.handle(Message(op, 5, tx, payload))
        [reply] = self.take()
        assert (reply.request, reply.tx) == (5, tx)
        return reply.op, reply.payload

    def take(self) -> list[Message]:
        replies = []
        for message in take_messages(self._received):
            if message.op == Op.WATCH_EVENT:
                assert (message.request, message.tx) == (0, 0)
                self.events.append(message.payload)
            else:
                replies.append(message)
        return replies


@pytest.fixture
def front(store: XenStore) -> Client:
    return Client(store, FRONT)


@pytest.fixture
def back(store: XenStore) -> Client:
    return Client(store, BACK)


STATE = f"{DEVICE}/state".encode()
OK = b"OK\0"


def test_read_and_write(front: Client, back: Client) -> None:
    assert front.ask(Op.READ, STATE + b"\0") == (Op.ERROR, b"ENOENT\0")
    assert front.ask(Op.WRITE, STATE + b"\0" + b"1") == (Op.WRITE, OK)
    assert back.ask(Op.READ, STATE + b"\0") == (Op.READ, b"1")
    assert front.ask(Op.WRITE, STATE + b"\0") == (Op.WRITE, OK)
    assert back.ask(Op.READ, STATE + b"\0") == (Op.READ, b"")
    assert back.ask(Op.WRITE, STATE + b"\0" + b"4") == (Op.ERROR, b"EACCES\0")


@given(st.binary(max_size=64))
def test_a_value_is_any_bytes(value: bytes) -> None:
    store = XenStore(lambda *_: None)
    store.own(DEVICE, FRONT)
    client = Client(store, FRONT)
    assert client.ask(Op.WRITE, STATE + b"\0" + value) == (Op.WRITE, OK)
    assert client.ask(Op.READ, STATE + b"\0") == (Op.READ, value)


def test_relative_paths_start_at_home(front: Client, back: Client) -> None:
    assert front.ask(Op.WRITE, b"device/vtpm/0/state\0" + b"3") == (Op.WRITE, OK)
    assert back.ask(Op.READ, STATE + b"\0") == (Op.READ, b"3")
    assert back.ask(Op.READ, b"device/vtpm/0/state\0") == (Op.ERROR, b"ENOENT\0")
    assert front.ask(Op.WATCH, b"device/vtpm/0/state\0t\0") == (Op.WATCH, OK)
    assert front.events == [STATE + b"\0t\0"]


def test_directories(front: Client) -> None:
    for name in (b"state", b"ring-ref", b"extra/deep"):
        front.ask(Op.WRITE, DEVICE.encode() + b"/" + name + b"\0")
    assert front.ask(Op.DIRECTORY, DEVICE.encode() + b"\0") == (
        Op.DIRECTORY,
        b"extra\0ring-ref\0state\0",
    )
    assert front.ask(Op.DIRECTORY, STATE + b"\0") == (Op.DIRECTORY, b"")
    assert front.ask(Op.DIRECTORY, STATE + b"x\0") == (Op.ERROR, b"ENOENT\0")
    assert front.ask(Op.MKDIR, DEVICE.encode() + b"/new\0") == (Op.MKDIR, OK)
    assert front.ask(Op.MKDIR, DEVICE.encode() + b"/state\0") == (Op.MKDIR, OK)
    assert front.ask(Op.RM, DEVICE.encode() + b"/extra\0") == (Op.RM, OK)
    assert front.ask(Op.RM, DEVICE.encode() + b"/extra\0") == (Op.ERROR, b"ENOENT\0")
    assert front.ask(Op.DIRECTORY, DEVICE.encode() + b"\0")[1] == b"new\0ring-ref\0state\0"


def test_a_directory_that_no_message_holds(front: Client) -> None:
    for number in range(QUOTA):
        front.ask(Op.WRITE, DEVICE.encode() + b"/node-%d\0" % number)
    assert front.ask(Op.DIRECTORY, DEVICE.encode() + b"\0") == (Op.ERROR, b"E2BIG\0")


def test_transactions(front: Client, back: Client) -> None:
    op, payload = front.ask(Op.TRANSACTION_START, b"\0")
    tx = int(payload.rstrip(b"\0"))
    assert (op, payload) == (Op.TRANSACTION_START, b"%d\0" % tx) and tx > 0
    assert front.ask(Op.WRITE, STATE + b"\0" + b"1", tx) == (Op.WRITE, OK)
    assert back.ask(Op.READ, STATE + b"\0") == (Op.ERROR, b"ENOENT\0")
    assert front.ask(Op.TRANSACTION_END, b"T\0", tx) == (Op.TRANSACTION_END, OK)
    assert back.ask(Op.READ, STATE + b"\0") == (Op.READ, b"1")
    assert front.ask(Op.TRANSACTION_END, b"T\0", tx) == (Op.ERROR, b"ENOENT\0")

    dropped = int(front.ask(Op.TRANSACTION_START, b"\0")[1].rstrip(b"\0"))
    front.ask(Op.WRITE, STATE + b"\0" + b"2", dropped)
    assert front.ask(Op.TRANSACTION_END, b"F\0", dropped) == (Op.TRANSACTION_END, OK)
    assert back.ask(Op.READ, STATE + b"\0") == (Op.READ, b"1")

    stale = int(front.ask(Op.TRANSACTION_START, b"\0")[1].rstrip(b"\0"))
    front.ask(Op.WRITE, STATE + b"\0" + b"2", stale)
    front.ask(Op.WRITE, STATE + b"\0" + b"3")
    assert front.ask(Op.TRANSACTION_END, b"T\0", stale) == (Op.ERROR, b"EAGAIN\0")
    assert front.ask(Op.TRANSACTION_END, b"maybe\0", stale) == (Op.ERROR, b"EINVAL\0")


def test_the_first_event_of_a_watch_follows_its_reply(store: XenStore) -> None:
    received = bytearray()
    server = StoreServer(store, BACK, received.extend)
    server.handle(Message(Op.WATCH, 9, 0, STATE + b"\0token\0"))
    reply, event = take_messages(received)
    assert (reply.op, reply.request, reply.payload) == (Op.WATCH, 9, OK)
    assert (event.op, event.payload) == (Op.WATCH_EVENT, STATE + b"\0token\0")


def test_watches(front: Client, back: Client) -> None:
    assert back.ask(Op.WATCH, DEVICE.encode() + b"\0t\0") == (Op.WATCH, OK)
    back.events.clear()
    front.ask(Op.WRITE, STATE + b"\0" + b"1")
    assert back.take() == [] and back.events == [STATE + b"\0t\0"]
    assert back.ask(Op.WATCH, DEVICE.encode() + b"\0t\0") == (Op.ERROR, b"EEXIST\0")
    assert back.ask(Op.WATCH, DEVICE.encode() + b"\0\0") == (Op.WATCH, OK)
    assert back.ask(Op.UNWATCH, DEVICE.encode() + b"\0t\0") == (Op.UNWATCH, OK)
    assert back.ask(Op.UNWATCH, DEVICE.encode() + b"\0t\0") == (Op.ERROR, b"ENOENT\0")
    back.events.clear()
    front.ask(Op.WRITE, STATE + b"\0" + b"2")
    assert back.take() == [] and back.events == [STATE + b"\0\0"]


def test_an_event_that_no_message_holds_is_dropped(front: Client, back: Client) -> None:
    token = 4000 * b"t"
    assert back.ask(Op.WATCH, b"/\0" + token + b"\0") == (Op.WATCH, OK)
    assert back.events == [b"/\0" + token + b"\0"]
    assert front.ask(Op.WRITE, STATE + 1000 * b"x" + b"\0") == (Op.WRITE, OK)
    assert back.take() == [] and len(back.events) == 1


def test_permissions_are_told_and_taken(front: Client) -> None:
    assert front.ask(Op.GET_PERMS, STATE + b"\0") == (Op.GET_PERMS, b"n1\0")
    assert front.ask(Op.SET_PERMS, STATE + b"\0n1\0") == (Op.SET_PERMS, OK)


@pytest.mark.parametrize("op", [0, 5, 9, 10, 15, 16, 17, 128, 0xFFFFFFFF])
def test_an_unknown_operation(front: Client, op: int) -> None:
    expected = b"EINVAL\0" if op == Op.UNWATCH else b"ENOSYS\0"
    assert front.ask(op, b"x\0") == (Op.ERROR, expected)


@pytest.mark.parametrize(
    ("op", "payload"),
    [
        (Op.READ, b""),
        (Op.READ, b"\0"),
        (Op.READ, STATE),
        (Op.READ, STATE + b"\0x\0"),
        (Op.READ, STATE + b"\0\0"),
        (Op.READ, b"a/\0"),
        (Op.READ, b"\xff\xfe\0"),
        (Op.DIRECTORY, STATE),
        (Op.MKDIR, b"\0"),
        (Op.RM, STATE),
        (Op.WRITE, b""),
        (Op.WRITE, STATE),
        (Op.WRITE, b"/a//b\0x"),
        (Op.WATCH, STATE),
        (Op.WATCH, STATE + b"\0"),
        (Op.WATCH, STATE + b"\0t"),
        (Op.UNWATCH, STATE + b"\0"),
        (Op.TRANSACTION_END, b""),
        (Op.TRANSACTION_END, b"T"),
        (Op.TRANSACTION_END, b"t\0"),
    ],
)
def test_a_payload_of_the_wrong_shape(front: Client, op: Op, payload: bytes) -> None:
    assert front.ask(op, payload) == (Op.ERROR, b"EINVAL\0")


@given(st.integers(0, 20), st.binary(max_size=200), st.integers(0, 3))
def test_whatever_comes_is_answered(op: int, payload: bytes, tx: int) -> None:
    store = XenStore(lambda *_: None)
    store.own(DEVICE, FRONT)
    client = Client(store, FRONT)
    client.ask(Op.TRANSACTION_START, b"\0")
    kind, reply = client.ask(op, payload, tx)
    assert kind == op or (kind == Op.ERROR and reply.endswith(b"\0") and reply.startswith(b"E"))
