# SPDX-License-Identifier: MIT
"""
A way through the model's worlds as a trace that people read and ``check`` judges.
"""

from pathlib import Path

from conformance.links.memory import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of
from vtpm_ref.states import Role
from vtpm_ref.steps import (
    Bind,
    Deliver,
    Grant,
    Load,
    Map,
    Notify,
    Operation,
    ReadNode,
    Revoke,
    Store,
    Unbind,
    Unmap,
    WriteNodes,
)
from vtpm_ref.world import Counterexample, World, request_for


def record(start: World, moves: list[str], path: Path) -> list[int]:
    """
    Take ``moves`` from ``start`` and record all that both sides do.

    The last move may be the one that breaks an invariant; it is recorded too.

    :return: for each move the number of events that the trace held before it.
    :raises ValueError: a move is not possible where it stands (the caller's fault).
    """
    header = header_of(
        list(Role), link="memory", target="the model", evidence=EVIDENCE, place=start.frontend.place
    )
    recorder = Recorder(path, header)
    before: list[int] = []
    try:
        recorder.event("target", tpm="2.0")
        world = start
        for move in moves:
            before.append(recorder.events)
            _note(recorder, world, move)
            world = _follow(world, move)
    except Counterexample as found:
        recorder.event("console", text=str(found))
    finally:
        recorder.close()
    return before


def _follow(world: World, move: str) -> World:
    for name, after in world.moves():
        if name == move:
            return after
    raise ValueError(f"there is no move {move!r} here")


def _note(recorder: Recorder, world: World, move: str) -> None:
    """Record what ``move`` does, before it is done."""
    for role in Role:
        machine = world.machine(role)
        operation = machine.operation
        if operation is not None and move == f"{role.value}: {machine.step.value}":
            _note_operation(recorder, world, role, operation)
    number = world.budget.requests
    if move == "the user submits":
        recorder.event("order", id=number, do="send", packet=request_for(number).hex())
    if move == "the backend dies":
        recorder.event("exit", how="the backend dies")
    if move == "the toolstack detaches":
        _note_nodes(recorder, "toolstack", world.detachment())
    if move == "the user cancels":
        # Below the numbers of the requests, so that no two orders share one.
        recorder.event("order", id=-world.budget.cancels, do="cancel")


def _note_operation(recorder: Recorder, world: World, role: Role, operation: Operation) -> None:
    by = role.value
    match operation:
        case Load(at, _):
            _, data = world.ground.take(role, operation)
            assert isinstance(data, bytes)
            recorder.load(by, at, data)
        case Store(at, data):
            recorder.store(by, at, data)
        case Notify():
            recorder.notify(by)
        case ReadNode(path):
            value = dict(world.ground.nodes).get(path)
            recorder.event("node", by=by, op="read", path=path, value=value)
        case WriteNodes(nodes):
            _note_nodes(recorder, by, nodes)
        case Grant() | Map() | Bind() | Unmap() | Unbind() | Revoke():
            _, result = world.ground.take(role, operation)
            _note_request(recorder, by, operation, result)
        case Deliver(answer):
            number = world.budget.requests + 1
            packet = answer.packet.hex()
            recorder.event("result", id=number, outcome=answer.outcome, packet=packet)


def _note_request(recorder: Recorder, by: str, operation: Operation, result: object) -> None:
    """What a machine asks of the hypervisor; ``result`` is what it gets."""
    match operation:
        case Grant():
            recorder.event("grant", by=by, gref=result)
        case Map(_, gref):
            recorder.event("map", by=by, gref=gref, ok=bool(result))
        case Bind(_, remote):
            recorder.event("bind", by=by, ok=result is not None, port=result, remote=remote)
        case Unmap(gref):
            recorder.event("map", by=by, gref=gref, ok=True, on=False)
        case Unbind(port):
            recorder.event("bind", by=by, ok=True, port=port, on=False)
        case Revoke(gref):
            recorder.event("grant", by=by, gref=gref, on=False, ok=bool(result))


def _note_nodes(recorder: Recorder, by: str, nodes: tuple[tuple[str, str], ...]) -> None:
    """Several nodes are one transaction, but the toolstack's."""
    tx = 1 if len(nodes) > 1 and by != "toolstack" else 0
    if tx:
        recorder.event("node", by=by, op="start", path="", tx=tx)
    for path, text in nodes:
        recorder.event("node", by=by, op="write", path=path, value=text, tx=tx)
    if tx:
        recorder.event("node", by=by, op="end", path="", tx=tx)
