# SPDX-License-Identifier: MIT
"""
The explorer in a browser: every position agrees with the model; links, keys, looks.
"""

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import clauses
from tests.browser import DESK, PHONE, Scheme, chromium, explorer, said, state, tab
from tests.docs_support import SPEC
from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.ground import Counterexample, Ground
from vtpm_ref.states import Role
from vtpm_ref.steps import Store
from vtpm_ref.world import Budget, World
from vtpm_spec import positions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: Where each beginning of the page begins, by hand.
STARTS = {
    "requests": World.connected(Budget(requests=2, cancels=1, idle_answers=1)),
    "connect": World(Budget(requests=0)),
    "close": World.connected(Budget(requests=1, closes=1, opens=1)),
}

#: All that the page's own functions say of every position.
ALL = """() => { const E = window.vtpmExplorer; return JSON.stringify({scenes: E.scenes, positions:
    E.positions.map((_, n) => { const view = E.at(n);
        return {view, moves: E.movesAt(n).map(({name, to}) => [name, to]),
            stores: Object.fromEntries(E.roles.map((role) => [role,
                view.may[role][0] === "n" ? null
                : E.storesAt(view, role).map(([what, verdict, , id]) => [what, verdict, id])]))};
    })}); }"""

NAMES = ("IDLE", "SUBMIT", "FINISH", "CANCEL")

#: Who may store more than the state, by state.
OWNERS = {0: "frontend", 1: "backend", 2: "frontend", 3: "backend"}
STILL = {"frontend": "states.request-stands-still", "backend": "states.response-stands-still"}


def stores(ground: Ground, role: Role) -> list[list[str]] | None:
    """What the page has to say of the stores of ``role``: what, verdict, clause."""
    out = []
    has_page = ground.gref and not ground.revoked if role is Role.FRONTEND else ground.mapped
    if not has_page:
        return None
    old = ground.pages[-1][4]
    connected = dict(ground.nodes).get("/local/domain/0/backend/vtpm/1/0/state") == "4"
    for value, name in enumerate(NAMES):
        try:
            ground.take(role, Store(4, bytes([value])))
        except Counterexample as refusal:
            assert isinstance(refusal.__cause__, ProtocolViolation)
            clause = refusal.__cause__.clause
            only = clause == "states.cancel-when-busy"
            out.append([name, "discouraged" if only else "forbidden", clause])
        else:
            if role is Role.FRONTEND and value == 1 and ground.published and not connected:
                out.append([name, "discouraged", "connecting.submit-when-connected"])
                continue
            crossed = ground.published and role is Role.FRONTEND and value == 3 and old in (0, 2)
            out.append([name, "a race within the rules" if crossed else "allowed", ""])
    owned = not ground.published or OWNERS[old] == role.value
    rest = ["allowed", ""] if owned else ["forbidden", STILL[role.value]]
    return [*out, ["the rest of the page", *rest]]


def everything(page: "Page") -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(page.evaluate(ALL))
    return shown


def differences(shown: dict[str, Any]) -> Iterator[str]:
    """Walk the model; say where the page shows anything else."""
    firsts = {name: first for name, _, first in shown["scenes"]}
    reached = set()
    for name, start in STARTS.items():
        numbers, waiting = {start: firsts[name]}, [start]
        for world in waiting:
            number = numbers[world]
            reached.add(number)
            here = shown["positions"][number]
            moves = list(world.moves())
            if [move for move, _ in moves] != [move for move, _ in here["moves"]]:
                yield f"position {number}: {here['moves']}"
                return
            for (move, after), (_, to) in zip(moves, here["moves"], strict=True):
                if after not in numbers:
                    waiting.append(after)
                if numbers.setdefault(after, to) != to:
                    yield f"position {number}: {move} leads to {to}"
            yield from (f"position {number}: {what}" for what in unlike(world, here))
        if len(set(numbers.values())) != len(numbers):
            yield f"{name}: one position stands for two worlds"
    if reached != set(range(len(shown["positions"]))):
        yield "there are positions that the model does not reach"


def unlike(world: World, here: dict[str, Any]) -> Iterator[str]:
    """What the page shows of one position that is not so."""
    ground, view = world.ground, here["view"]
    if view["page"] != (ground.pages[-1].hex() if ground.pages else ""):
        yield f"page {view['page']}"
    now = {"frontend": world.frontend.step.value, "backend": world.backend.step.value}
    if view["now"] != now:
        yield f"sides {view['now']}"
    if view["nodes"] != [list(node) for node in ground.nodes]:
        yield f"nodes {view['nodes']}"
    for role in Role:
        if here["stores"][role.value] != stores(ground, role):
            yield f"stores of the {role.value} {here['stores'][role.value]}"
        waits = f"an event waits for the {role.value}" in view["between"]
        if waits != (role in ground.events):
            yield f"between {view['between']}"
    if ("the TPM works" in view["between"]) != bool(world.running):
        yield f"between {view['between']}"


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: "Browser", html: Path) -> Iterator["Page"]:
    with explorer(browser, html) as opened:
        yield opened


def press(page: "Page", *moves: str) -> None:
    """Press the buttons with these words."""
    for move in moves:
        page.locator(".explorer-moves button", has_text=move).click()


SUBMIT = ["the user submits", "look whether", "store the packet", "store the length"]
SUBMIT += ["store the locality", "store SUBMIT"]


# The data


def test_what_the_page_shows_agrees_with_the_model_in_every_position(page: "Page") -> None:
    """Moves and where they lead, page, sides, nodes, events, and each store with its clause."""
    shown = everything(page)
    assert list(differences(shown)) == []
    assert len(shown["positions"]) > 1000


@pytest.mark.parametrize(
    "spoil",
    [
        "E.next[7][1] += 1",
        "E.moves[0][0] = 'the user waits'",
        "E.positions[5][0] = 9",
        "E.positions[40][5] = 1",
        "E.cells.backend.SUBMIT[1][1] = 'states.frontend-writes'",
        "E.cells.frontend.SUBMIT = E.cells.backend.SUBMIT",
        "E.rest.frontend = 'states.frontend-writes'",
        "E.between[1] = []",
    ],
)
def test_the_comparison_finds_what_was_spoiled(page: "Page", spoil: str) -> None:
    page.evaluate(f"() => {{ const E = window.vtpmExplorer; {spoil}; }}")
    assert next(differences(everything(page)), None)


def test_the_data_are_small_the_same_each_time_and_on_one_page_only(html: Path) -> None:
    assert (html / "_static/explorer-data.js").stat().st_size < 1_000_000
    assert json.dumps(positions.export()) == json.dumps(positions.export())
    loading = [page.name for page in html.glob("*.html") if "explorer" in scripts(page)]
    assert loading == ["explorer.html"]


def scripts(page: Path) -> str:
    return " ".join(re.findall(r"<script[^>]*src=\"([^\"]*)", page.read_text("utf-8")))


def test_the_scripts_know_no_state_and_no_clause() -> None:
    """A rule in the script would be a second copy of it."""
    names = re.compile(
        rf"\b({'|'.join(NAMES)})\b|{'|'.join(map(re.escape, clauses.load()))}", re.ASCII
    )
    for script in (SPEC / "_static").glob("explorer*.js"):
        assert names.findall(script.read_text("utf-8")) == [], script.name


@pytest.mark.parametrize(
    ("move", "role"),
    [
        ("backend: read the frontend's state", Role.BACKEND),
        ("the frontend sees /local/domain/0/backend/vtpm/1/0/state", Role.FRONTEND),
        ("the backend sees /local/domain/1/device/vtpm/0/state", Role.BACKEND),
        ("the user cancels", Role.FRONTEND),
        ("the TPM gives up", Role.BACKEND),
    ],
)
def test_a_move_is_played_by_the_side_that_it_happens_to(move: str, role: Role) -> None:
    assert positions.played_by(move) is role


# Playing


def test_a_move_changes_the_page_and_says_so(page: "Page") -> None:
    press(page, *SUBMIT)
    assert said(page) == "frontend: store SUBMIT. state: IDLE → SUBMIT."
    assert state(page) == "SUBMIT"
    assert page.locator(".explorer-page .changed dt").all_inner_texts() == ["state"]
    store = page.locator(".explorer-frontend .explorer-stores li").nth(1)
    assert store.inner_text() == (
        "SUBMIT forbidden: the request is unfinished (states.submit-when-free)"
    )
    sentence = "The frontend MUST NOT write SUBMIT over SUBMIT or CANCEL."
    assert store.locator("a").get_attribute("title") == sentence
    store.locator("a").click()
    assert page.url.endswith("states.html#states.submit-when-free")


def test_an_event_and_a_node_are_told(page: "Page") -> None:
    press(page, *SUBMIT, "notify of the request")
    assert said(page) == "frontend: notify of the request. an event waits for the backend."
    page.get_by_label("begin with").select_option("connect")
    press(page, "watch the frontend", "watch for the toolstack", "write the feature node")
    node = "0/backend/vtpm/1/0/feature-protocol-v2 = 1"
    assert said(page) == f"backend: write the feature node. {node}."


def test_a_race_is_named_and_one_that_was_seen_is_discouraged(page: "Page") -> None:
    frontend = page.locator(".explorer-frontend .explorer-stores li")
    assert "CANCEL discouraged: it has seen IDLE" in frontend.nth(3).inner_text()
    press(page, *SUBMIT, "notify", "the backend gets", "look at", "sample", "fetch", "start the")
    press(page, "the TPM ends", "store the response", "store the length", "store FINISH")
    crossed = "CANCEL a race within the rules: crossed a FINISH answer"
    assert frontend.nth(3).inner_text() == crossed


def test_stepping_back_returns_to_each_position_before(page: "Page") -> None:
    seen = []
    for move in SUBMIT:
        seen.append((state(page), page.locator(".explorer-moves").all_inner_texts()))
        press(page, move)
    back = page.get_by_role("button", name="Step back")
    for before in reversed(seen):
        back.click()
        assert (state(page), page.locator(".explorer-moves").all_inner_texts()) == before
    assert back.is_disabled()


def test_an_end_says_that_it_is_one(page: "Page") -> None:
    page.evaluate("""() => {
        for (let last; (last = [...document.querySelectorAll(".explorer-moves button")].at(-1));)
            last.click();
    }""")
    assert said(page).endswith("This is an end.")


# Links


def test_a_link_restores_the_position_and_the_way_to_it(page: "Page", browser: "Browser") -> None:
    press(page, *SUBMIT)
    link, moves = page.url, page.locator(".explorer-moves").all_inner_texts()
    assert page.get_by_role("link", name="Link to this").evaluate("(a) => a.href") == link
    with tab(browser, link.partition("explorer.html")[0], []) as other:
        other.goto(link)
        assert (state(other), said(other)) == ("SUBMIT", "6 moves from the beginning.")
        assert other.locator(".explorer-moves").all_inner_texts() == moves
        other.get_by_role("button", name="Step back").click()
        assert state(other) == "IDLE"


@pytest.mark.parametrize(
    ("fragment", "words"),
    [
        ("scene=connect", "Connect."),
        ("scene=nowhere", "The link names a beginning that does not exist."),
        ("scene=requests&moves=00&of=00000000", "made for another version of the model"),
        ("scene=requests&moves=00z0&of={of}", "a move that does not exist; it was followed for 2."),
        ("scene=requests&moves=00%2C&of={of}", "does not exist; it was followed for 2."),
    ],
)
def test_a_link_that_leads_nowhere_says_so(page: "Page", fragment: str, words: str) -> None:
    of = page.evaluate("window.vtpmExplorer.of")
    page.evaluate(f"location.hash = {fragment.format(of=of)!r}")
    page.wait_for_function(
        "(words) => document.querySelector('.explorer-said').textContent.includes(words)", arg=words
    )


# Keys, looks, no scripts


def test_the_keyboard_alone_plays_and_steps_back(page: "Page") -> None:
    page.get_by_label("begin with").focus()
    while not page.evaluate("document.activeElement.closest('.explorer-moves')"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("1")
    assert state(page) == "SUBMIT"
    page.keyboard.press("ArrowLeft")
    assert state(page) == "IDLE"
    page.keyboard.press("ArrowRight")
    assert state(page) == "SUBMIT"
    page.keyboard.press("ArrowDown")
    assert "the user cancels" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    assert "the user cancels" in said(page)
    page.keyboard.press("Home")
    assert page.url.endswith("#scene=requests")


def test_nothing_is_too_wide_in_any_scene(page: "Page") -> None:
    """Light and dark, desk and phone, at the start and a few moves on."""
    schemes: list[Scheme] = ["light", "dark"]
    for scene, scheme, (width, height) in product(STARTS, schemes, (DESK, PHONE)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height})
        page.get_by_label("begin with").select_option(scene)
        for _ in range(12):
            page.evaluate("[...document.querySelectorAll('.explorer-moves button')].at(-1).click()")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_a_sentence_leads_to_the_table(browser: "Browser", html: Path) -> None:
    home = f"{html.as_uri()}/"
    with tab(browser, home, [], scripts=False) as page:
        page.goto(f"{home}explorer.html")
        assert page.locator(".explorer").inner_text().startswith("This needs JavaScript")
        assert page.locator(".explorer a").get_attribute("href") == "states.html"
