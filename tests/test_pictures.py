# SPDX-License-Identifier: MIT
"""
The pictures: what they show is what the model does, and the judge has agreed to it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from sphinx.errors import ExtensionError

from tests.docs_support import copy_of_pages, sphinx, spoil
from vtpm_ref.backend import Backend
from vtpm_ref.backend import Step as BackendStep
from vtpm_ref.states import State
from vtpm_ref.steps import Operation, load_state, store_state
from vtpm_ref.world import Budget, World
from vtpm_ref.xenbus import XenbusState
from vtpm_spec import ladder, scenarios, state_diagram
from vtpm_spec.scenarios import SCENARIOS, play

IDLE_ANSWER = """\
     frontend                     shared page                     backend
         |                          [IDLE]                           |
         |                             |                             |
         * the user submits            |                             |
         |<-- state IDLE --------------|                             |
         |-- packet, 10 bytes -------->|                             |
         |-- length 10 --------------->|                             |
         |-- locality 0 -------------->|                             |
         |-- state SUBMIT -------->[SUBMIT]                          |
         |~~ event ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~>|
         |                             |------------ state SUBMIT -->|
         |                             |-------- the whole header -->|
         |                             |-------- packet, 10 bytes -->|
         |                             |               start the TPM *
         |                             |                             |
         |                             |            the TPM gives up *
         |                          [IDLE]<------------ state IDLE --|
         |<~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~ event ~~|
         |<-- state IDLE --------------|                             |
         * the user gets: cancelled    |                             |
         |                             |                             |"""

#: Who ends with what, and which states the page goes through.
ENDS = {
    "submit": (["IDLE", "SUBMIT", "FINISH"], "the user gets: response"),
    "idle-answer": (["IDLE", "SUBMIT", "IDLE"], "the user gets: cancelled"),
    "cancel-idle": (["SUBMIT", "CANCEL", "IDLE"], "the user gets: cancelled"),
    "cancel-finish": (["SUBMIT", "CANCEL", "FINISH"], "the user gets: response"),
    "cancel-unseen": (["IDLE", "SUBMIT", "CANCEL", "IDLE"], "the user gets: cancelled"),
    "cancel-race": (["SUBMIT", "FINISH", "CANCEL", "IDLE"], "the user gets: cancelled"),
}

DIAGRAM = """\
IDLE   -- frontend -------> SUBMIT   a request into a free page
IDLE   -- frontend, race -> CANCEL   crossed an IDLE answer

SUBMIT -- frontend -------> CANCEL   asks to abandon the request

FINISH -- frontend -------> SUBMIT   the next request, no acknowledge
FINISH -- frontend, race -> CANCEL   crossed a FINISH answer

CANCEL -- frontend -------> CANCEL   asks again, changes nothing

SUBMIT -- backend --------> IDLE     gives the request up, no response
SUBMIT -- backend --------> FINISH   the response is in the page

CANCEL -- backend --------> IDLE     abandoned, no response
CANCEL -- backend --------> FINISH   completed in spite of the cancel"""


def test_the_page_shows_an_exchange_as_plain_text(plain: Path) -> None:
    text = (plain / "exchange.txt").read_text(encoding="utf-8")
    assert re.sub("^   ", "", text[text.index("A request that ends") :], flags=re.M).count(
        IDLE_ANSWER
    )


@pytest.mark.parametrize("name", ENDS)
def test_an_exchange_goes_as_its_page_says(name: str) -> None:
    """The states of the page, in order, and what the user gets in the end."""
    played = play(name)
    drawn = ladder.rows(played)
    states = [ladder.first_state(played), *(row.state for row in drawn if row.state)]
    assert (states, drawn[-1].label) == ENDS[name]


def test_to_open_both_become_connected() -> None:
    """The last word of each side is Connected, and there is no state in the page before."""
    played = play("open")
    written = {row.by: row.label for row in ladder.rows(played) if row.kind == "store"}
    assert set(written.values()) == {"state Connected (4)"}
    assert ladder.first_state(played) == ""


def test_every_scenario_is_drawn_on_a_page(html: Path) -> None:
    """A row of the table that no page shows would be judged by nobody."""
    shown = "".join(page.read_text(encoding="utf-8") for page in html.glob("*.html"))
    assert [name for name in SCENARIOS if f'id="ladder-{name}-title"' not in shown] == []


@dataclass(frozen=True)
class Mute(Backend):
    """Answers, but does not notify."""

    @property
    def operation(self) -> Operation | None:
        """A harmless load in the place of the event."""
        return load_state() if self.step is BackendStep.RING else super().operation


@dataclass(frozen=True)
class Twice(Backend):
    """Stores FINISH again where it should notify."""

    @property
    def operation(self) -> Operation | None:
        """The answer once more."""
        return store_state(State.FINISH) if self.step is BackendStep.RING else super().operation


@dataclass(frozen=True)
class Hasty(Backend):
    """Says Connected where it should say InitWait."""

    @property
    def operation(self) -> Operation | None:
        """The state node, with the wrong state."""
        hasty = self.step is BackendStep.INIT_WAIT
        return self._become(XenbusState.CONNECTED) if hasty else super().operation


def test_a_trace_that_breaks_a_clause_is_not_drawn() -> None:
    """What the judge finds stops the build."""
    with pytest.raises(ExtensionError, match=r"the judge saw broken: .*connecting\.init-wait"):
        play("open", World(Budget(requests=1), backend=Hasty()))


def test_an_exchange_that_does_not_end_is_not_drawn() -> None:
    """A frontend that waits for an event for ever is no example, though nothing is broken yet."""
    with pytest.raises(ExtensionError, match="ends with the frontend at 'wait for the answer'"):
        play("submit", World(Budget(requests=1), backend=Mute()))


def test_a_step_that_the_model_forbids_is_not_drawn() -> None:
    """A backend that writes its answer again, over FINISH, stops the build."""
    with pytest.raises(ExtensionError, match=r"states\.answer-only-requests"):
        play("submit", World(Budget(requests=1), backend=Twice()))


def test_a_way_that_cannot_be_gone_is_refused() -> None:
    """Without a request the TPM has nothing to end."""
    with pytest.raises(ExtensionError, match="scenario 'submit': 'the user submits' cannot come"):
        play("submit", World(Budget(requests=0)))


def test_the_build_fails_for_an_unknown_scenario(tmp_path: Path) -> None:
    pages = copy_of_pages(tmp_path)
    spoil(pages / "adapter.md", "```{ladder} nonsense\n```\n")
    run = sphinx("html", tmp_path / "out", pages)
    assert run.returncode != 0
    assert "no scenario 'nonsense'; there are: open, submit, " in run.stderr


def test_the_state_diagram_says_who_may_take_which_edge(plain: Path) -> None:
    assert state_diagram.ascii_art(state_diagram.edges()) == DIAGRAM
    text = (plain / "states.txt").read_text(encoding="utf-8")
    assert all(line in text for line in DIAGRAM.splitlines())


def test_the_state_diagram_draws_each_edge_of_the_model_once(html: Path) -> None:
    """Ten edges, two of them dotted."""
    text = (html / "states.html").read_text(encoding="utf-8")
    svg = text[text.index('<svg class="picture"') :].partition("</svg>")[0]
    assert svg.count("<polygon") == 10
    assert svg.count(">race<") == 2
    assert "IDLE to CANCEL: frontend, race; SUBMIT to CANCEL: frontend; " in svg


@pytest.mark.parametrize(
    "page", ["shared-page", "states", "exchange", "cancellation", "connecting"]
)
def test_a_picture_has_words_and_no_colour_of_its_own(html: Path, page: str) -> None:
    """Each one is told to a screen reader, offered as text, and drawn in the text's colour."""
    text = (html / f"{page}.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<svg class="picture".*?</svg>', text, re.DOTALL)
    assert pictures
    assert text.count('<details class="picture-text">') == len(pictures)
    for picture in pictures:
        assert re.search(r'role="img".*aria-labelledby="(\S+)-title \1-words"', picture)
        assert re.search(r"<title [^>]*>.+</title><desc [^>]*>.+</desc>", picture)
        assert (
            re.search(r"#[0-9a-f]{3,8}\b|rgb|(?:fill|stroke)=\"(?!none|currentColor)", picture)
            is None
        )


def test_the_shortest_way_is_taken_to_a_move() -> None:
    """Where steps cross, neither side does more than it must."""
    moves = [move for move, _ in play("cancel-race").steps]
    crossing = moves.index("backend: store FINISH")
    assert moves[crossing - 1 : crossing + 2] == [
        "the user cancels",
        "backend: store FINISH",
        "frontend: store CANCEL",
    ]
    assert scenarios.REST not in moves
