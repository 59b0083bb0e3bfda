# SPDX-License-Identifier: MIT
"""The command line: exit codes, selection, reports, and the plugin for a suite of one's own."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance import clauses, cli, engine
from conformance.cases import CASES
from conformance.trace import TraceReader
from tests.bad_targets.harness import (
    JUDGE,
    ROOT,
    Judge,
    Ran,
    command,
    descriptors,
    environment,
    survivors,
)

REFERENCE = "conformance.targets.reference:backend"
OBJECTS = "tests.bad_targets.objects"
EXAMPLES = ROOT / "examples/build"

#: An own case and the first of another clause that sees the same.
TAG = "packet.response-tag/response"
OTHER = "exchange.answered/three-exchanges"


@pytest.fixture
def judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Judge]:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    before = descriptors()
    yield Judge(tmp_path, capsys)
    assert descriptors() == before
    assert survivors(tmp_path) == []


def run(judge: Judge, target: str, *arguments: str) -> Ran:
    """Judge a Python object; what is not in this package is one of ``OBJECTS``."""
    name = target if ":" in target else f"{OBJECTS}:{target}"
    return judge("run", "backend", "--object", name, "--jsonl", "results.jsonl", *arguments)


# Exit codes.


def test_0_nothing_seen_broken(judge: Judge) -> None:
    ran = run(judge, REFERENCE)
    assert ran.code == 0
    last = ran.out.splitlines()[-1]
    assert re.fullmatch(r"verdict    no clause seen broken; \d+ of \d+ observed; exit 0", last), (
        last
    )


def test_0_a_should_broken_is_a_warning(judge: Judge) -> None:
    ran = run(judge, "rings_twice", "exchange")
    assert ran.code == 0
    assert "WARNING  exchange.event-per-change  (SHOULD NOT, backend, practice)\n" in ran.out
    assert "no MUST seen broken, 1 SHOULD broken; " in ran.out.splitlines()[-1]


def test_1_a_should_broken_with_strict(judge: Judge) -> None:
    ran = run(judge, "rings_twice", "exchange", "--strict")
    assert ran.code == 1
    assert "BROKEN  exchange.event-per-change  (SHOULD NOT, backend, practice)\n" in ran.out
    assert ran.out.endswith(" observed; exit 1\n")
    [repeat] = re.findall(r"repeat     vtpm-conformance (.*)", ran.out)
    assert judge(*shlex.split(repeat)).code == 1


def test_1_a_must_broken(judge: Judge) -> None:
    assert run(judge, "wrong_tag", "packet").code == 1


def test_2_inconclusive(judge: Judge) -> None:
    ran = run(judge, "raises", "packet.response-tag")
    assert ran.code == 2
    assert "INCONCLUSIVE  packet.response-tag: packet.response-tag/response was not" in ran.out


def test_3_trouble_with_the_adapter(judge: Judge) -> None:
    ran = run(judge, "no_factory")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "vtpm-conformance: the factory of the target failed: RuntimeError('no TPM here')\n"
    )
    assert run(judge, "no_target").err == (
        "vtpm-conformance: the factory of the target made None, which is no Target\n"
    )


def test_5_a_case_that_raises(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(tester: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setitem(CASES, TAG, replace(CASES[TAG], play=defect))
    ran = run(judge, REFERENCE, "packet.response-tag")
    assert ran.code == 5
    said = "INTERNAL ERROR in packet.response-tag/response: a defect of the judge; please report it"
    assert f"{said}\n  ZeroDivisionError: a defect\n  (--traceback shows where)\n" in ran.out
    assert "Traceback" not in ran.out + ran.err
    # The other case of the clause was judged all the same.
    assert ran.cases["packet.response-tag/unknown-ordinal"]["internal"] is False
    assert list(TraceReader(Path("vtpm-traces/packet.response-tag__response.jsonl")))
    again = run(judge, REFERENCE, "packet.response-tag", "--traceback")
    assert again.code == 5
    assert re.search(r"  Traceback \(most.*\n(.*\n)*  ZeroDivisionError: a defect", again.out)


def test_5_but_a_broken_must_outranks_it(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(tester: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(CASES, TAG, replace(CASES[TAG], play=defect))
    ran = run(judge, "wrong_tag", "packet.response-tag")
    assert ran.code == 1
    assert "INTERNAL ERROR" in ran.out


@pytest.mark.parametrize("traceback", [False, True])
def test_5_anything_else(judge: Judge, monkeypatch: pytest.MonkeyPatch, traceback: bool) -> None:
    def defect(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(engine, "run", defect)
    ran = run(judge, REFERENCE, *["--traceback"][: int(traceback)])
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith(
        "vtpm-conformance: a defect of the judge: ZeroDivisionError('a defect')\n"
    )
    assert ("Traceback" in ran.err) is traceback


def test_130_interrupted(judge: Judge) -> None:
    ran = run(judge, "interrupts", "packet")
    assert ran.code == 130
    assert ran.out.splitlines()[-1] == (
        "verdict    interrupted; up to there no clause seen broken; 0 of 7 observed; exit 130"
    )
    assert ran.results[-1]["exit"] == 130


def test_the_exit_codes_are_in_every_help(capsys: pytest.CaptureFixture[str]) -> None:
    documented = [0, 1, 2, 3, 4, 5, 130]
    for arguments in (["--help"], ["run", "--help"], ["check", "--help"], ["list", "--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        shown = capsys.readouterr().out.split("exit codes:\n")[1]
        assert [int(line.split()[0]) for line in shown.splitlines()] == documented


# Usage.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: VERB"),
        (["judge"], "invalid choice: 'judge'"),
        (["run"], "the following arguments are required: role"),
        (["run", "middleend"], "invalid choice: 'middleend'"),
        (["run", "backend", "--no-such"], "--no-such"),
        (["check"], "the following arguments are required: TRACE"),
        (["run", "backend", "--timeout-multiplier", "0"], "'0' is not a number greater than 0"),
        (["run", "backend", "--timeout-multiplier", "-1"], "'-1' is not a number greater"),
        (["run", "backend", "--timeout-multiplier", "nan"], "'nan' is not a number greater"),
        (["run", "backend", "--timeout-multiplier", "inf"], "'inf' is not a number greater"),
        (["run", "backend", "--timeout-multiplier", "ten"], "'ten' is not a number greater"),
    ],
)
def test_4_wrong_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 4
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("usage: vtpm-conformance") and message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["packet.none"], "'packet.none' matches no clause and no case for a backend;"),
        (["pack"], "'pack' matches no clause and no case for a backend;"),
        (["packet", "zzz*"], "'zzz*' matches no clause and no case for a backend;"),
        (["packet.request-header"], "matches no clause and no case for a backend;"),
        (["--exclude", "packet.none"], "'packet.none' matches no clause and no case"),
        (["--level", "must"], "unknown level 'must'; it can be MUST, SHOULD, MAY"),
        (["--level", "MUST,WILL"], "unknown level 'WILL'"),
        (["--status", "draft"], "unknown status 'draft'; it can be stated, practice, settled"),
        (["packet", "--exclude", "packet"], "the selection is empty: no case is left"),
        (["packet.response-tag", "--level", "MAY"], "the selection is empty: no case is left"),
    ],
)
def test_4_a_selection_of_nothing(judge: Judge, arguments: list[str], message: str) -> None:
    for verb in (["run", "backend", "--object", REFERENCE], ["list", "--role", "backend"]):
        ran = judge(*verb, *arguments)
        assert (ran.code, ran.out) == (4, "")
        assert ran.err.startswith("vtpm-conformance: ") and ran.err.count("\n") == 1
        assert message in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one target: --exec 'COMMAND', --object package.module:factory, --lab"),
        (["--exec", "a", "--object", "b:c"], "name one target: "),
        (["--object", "no.such.module:x"], "--object no.such.module:x: No module named 'no'"),
        (["--object", "json:none"], "--object json:none: module 'json' has no attribute 'none'"),
        (["--object", "json"], "--object json: "),
        (["--object", ":"], "--object :: "),
        (["--object", f"{OBJECTS}:NOTHING"], "it cannot be called, so it is no factory"),
        (["--object", "raising:x"], "--object raising:x: a module of the user's"),
        (["--object", "exiting:x"], "--object exiting:x: "),
        (["--object", "unreadable:x"], "--object unreadable:x: "),
    ],
)
def test_4_no_target(judge: Judge, arguments: list[str], message: str) -> None:
    Path("raising.py").write_text('raise ZeroDivisionError("a module of the user\'s")\n')
    Path("exiting.py").write_text("raise SystemExit(0)\n")
    Path("unreadable.py").write_text("def\n")
    ran = judge("run", "backend", *arguments)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith("vtpm-conformance: ") and message in ran.err


def test_an_object_of_the_current_folder(judge: Judge) -> None:
    Path("mine.py").write_text("from conformance.targets.reference import backend as factory\n")
    ran = judge("run", "backend", "--object", "mine:factory", "connecting.init-wait")
    assert ran.code == 0
    assert "" not in sys.path and str(judge.folder) not in sys.path


# Selection.


def listed(judge: Judge, *arguments: str) -> set[str]:
    ran = judge("list", *arguments)
    assert ran.code == 0
    return {line.split(":")[0].strip() for line in ran.out.splitlines() if line.startswith("    ")}


def test_selection(judge: Judge) -> None:
    slugs = ("response", "unknown-ordinal", "auth1", "auth2")
    tag = {f"packet.response-tag/{slug}" for slug in slugs}
    assert listed(judge, "packet.response-tag") == tag
    assert listed(judge, TAG) == {TAG}
    assert listed(judge, "*/unknown-ordinal") == {"packet.response-tag/unknown-ordinal"}
    assert listed(judge, "packet.response-t*") == tag
    assert listed(judge, "packet.response-tag", "--exclude", TAG) == tag - {TAG}
    assert listed(judge, "packet.response-tag", "--exclude", "*/response") == tag - {TAG}
    both = listed(judge, "packet.response-tag", "connecting.init-wait")
    assert both == tag | {"connecting.init-wait/connect", "connecting.init-wait/new-references"}
    packet = listed(judge, "packet")
    assert tag < packet and all(case.startswith("packet.") for case in packet)
    # A prefix ends at a dot.
    assert listed(judge, "packet", "--role", "backend") < packet
    assert listed(judge, "packet.response-tag", "--role", "backend") == tag


def test_selection_by_level_and_status(judge: Judge) -> None:
    ran = judge("list", "--json", "--level", "SHOULD", "--status", "stated,corrects")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert {clause["id"] for clause in found} == {
        "long.size-asked",
        "page.pad-zero",
        "states.cancel-when-busy",
    }
    levels = {
        json.loads(line)["level"]
        for line in judge("list", "--json", "--level", "MUST").out.splitlines()
    }
    assert levels == {"MUST", "MUST NOT"}


def test_a_run_judges_what_was_selected_and_no_more(judge: Judge) -> None:
    ran = run(judge, "wrong_tag", "exchange")
    assert ran.code == 0
    assert all(clause.startswith("exchange.") for clause in ran.verdicts)


def test_a_single_case_shows_all_that_it_shows(judge: Judge) -> None:
    ran = run(judge, "wrong_tag", OTHER)
    assert ran.code == 1
    assert list(ran.cases) == [OTHER]
    assert ran.cases[OTHER]["broken"] == ["packet.response-tag"]
    assert f"  case       {OTHER}: " in ran.out
    limited = run(judge, "wrong_tag", OTHER, "--exclude", "packet.response-tag")
    assert limited.code == 0


def test_selection_on_both_sides_of_the_options(judge: Judge) -> None:
    ran = judge(
        *("run", "backend", "packet.response-tag", "--object", REFERENCE, "--level", "MUST"),
        "connecting.init-wait",
    )
    assert ran.code == 0
    assert "cases      6 run, 0 not applicable\n" in ran.out


def test_maxfail(judge: Judge) -> None:
    ran = run(judge, "wrong_tag", "packet", "--maxfail", "1")
    assert ran.code == 1
    failed = [case for case in ran.cases.values() if case["broken"]]
    assert len(failed) == 1
    left = int(re.findall(r"cases      \d+ run, 0 not applicable, (\d+) not run\n", ran.out)[0])
    assert left + len(ran.cases) == len(listed(judge, "packet", "--role", "backend"))


# Lists.


def test_list(judge: Judge) -> None:
    ran = judge("list", "packet.response-tag")
    title, *cases = ran.out.splitlines()
    assert title == "packet.response-tag  (MUST, backend, settled)"
    authorised = "A command with {} authorisation(s), by sessions that there are not."
    assert sorted(cases) == [
        f"    packet.response-tag/auth1: {authorised.format(1)}",
        f"    packet.response-tag/auth2: {authorised.format(2)}",
        f"    {TAG}: Two legal exchanges, with responses of different size.",
        "    packet.response-tag/unknown-ordinal: A command that no TPM knows.",
    ]


def test_list_json(judge: Judge) -> None:
    ran = judge("list", "--json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [clause["id"] for clause in found] == list(clauses.load())
    named = [case["id"] for clause in found for case in clause["cases"]]
    assert sorted(named) == sorted(CASES)
    tag = next(clause for clause in found if clause["id"] == "packet.response-tag")
    assert set(tag) == {
        "id", "level", "role", "status", "source", "text", "page", "line", "checksum",
        "unobservable", "cases",
    }  # fmt: skip
    assert tag["text"].startswith("The backend MUST give each response a tag")
    assert {case["role"] for case in tag["cases"]} == {"backend"}


def test_list_says_what_nobody_can_observe(judge: Judge) -> None:
    ran = judge("list")
    assert "page.size  (" in ran.out
    assert re.search(r"\n    no tester can observe it; it would take .+\n", ran.out)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list"], ["list", "--json"]])
def test_help_and_lists_come_without_pytest(arguments: list[str]) -> None:
    program = (
        "import sys, conformance.cli\n"
        "try:\n    conformance.cli.main(sys.argv[1:])\n"
        "finally:\n    print(sorted({'pytest', '_pytest'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def without_reader(*arguments: str) -> int:
    """The exit code of a judge whose standard output nobody reads; it says nothing of that."""
    process = subprocess.Popen(
        [*JUDGE, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    return process.wait(60)


def test_a_reader_of_the_list_may_go_away() -> None:
    assert without_reader("list", "--json") == 0


# What a failure shows.


@pytest.fixture(params=["object", "exec"])
def broken(request: pytest.FixtureRequest, judge: Judge) -> Ran:
    """A run of a backend with a wrong tag, in memory and as a program."""
    program = shlex.join([sys.executable, "-m", OBJECTS, "wrong_tag"])
    target = {"object": f"{OBJECTS}:wrong_tag", "exec": program}[request.param]
    return judge(
        *("run", "backend", f"--{request.param}", target, "packet", "exchange.answered"),
        *("--exclude", "*/unknown-ordinal", "--jsonl", "results.jsonl", "--junit", "junit.xml"),
    )


def test_a_failure(judge: Judge, broken: Ran) -> None:
    assert broken.code == 1
    assert "Traceback" not in broken.out + broken.err
    line = clauses.load()["packet.response-tag"].line
    [block] = re.findall(r"\n(BROKEN .*?)\n\n", broken.out, re.S)
    shown = [text.strip() for text in block.splitlines()]
    assert shown[:7] == [
        "BROKEN  packet.response-tag  (MUST, backend, settled)",
        "The backend MUST give each response a tag that is a response tag of its TPM.",
        f"read it    spec/packets.md:{line} (packets.html#packet.response-tag)",
        f"case       {TAG}: Two legal exchanges, with responses of different size.",
        "allowed    one of the tags 0x00c4, 0x8001, 0x8002",
        "happened   the tag 0xffff",
        f"trace      vtpm-traces/packet.response-tag__response.jsonl, line {broken_line(block)}",
    ]
    [offending] = [text for text in shown if text.startswith(">>")]
    assert offending.split()[1] == str(broken_line(block))
    assert any("frontend loads state FINISH" in text for text in shown)
    [repeat] = [text for text in shown if text.startswith("repeat")]
    assert repeat.endswith(f" {TAG}")
    sampled = "(stores were only sampled: a repeat may not show it)" in shown
    assert sampled is ("--exec" in repeat)


def broken_line(block: str) -> int:
    """The number of the offending line, which differs from link to link."""
    return int(re.findall(r", line (\d+)", block)[0])


def test_the_repeat_command_reproduces_it(judge: Judge, broken: Ran) -> None:
    [repeat] = re.findall(r"repeat     (.*)", broken.out)
    program, *arguments = shlex.split(repeat)
    assert program == "vtpm-conformance"
    again = judge(*arguments)
    assert again.code == 1
    assert "cases      1 run, 0 not applicable\n" in again.out
    assert "BROKEN  packet.response-tag " in again.out
    assert "  happened   the tag 0xffff\n" in again.out


def test_check_finds_the_same(judge: Judge, broken: Ran) -> None:
    [path, line] = re.findall(r"trace      (\S+), line (\d+)", broken.out)[0]
    ran = judge("check", path, "--jsonl", "checked.jsonl")
    assert ran.code == 1
    assert re.findall(r"(?:BROKEN|WARNING)  (\S+)", ran.out) == ["packet.response-tag"]
    for shown in (
        f"  case       {TAG}: Two legal exchanges, with responses of different size.\n",
        "  happened   the tag 0xffff\n",
        f"  trace      {path}, line {line}\n",
    ):
        assert shown in ran.out and shown in broken.out


@pytest.mark.parametrize("count", [1, 4])
def test_a_reader_of_verdicts_may_go_away(judge: Judge, count: int) -> None:
    """The exit code is that of what was found, not of what was read."""
    assert run(judge, "wrong_tag", TAG).code == 1
    (trace,) = judge.folder.rglob("packet*.jsonl")
    assert without_reader("check", *[str(trace)] * count) == 1


def test_junit(broken: Ran) -> None:
    suites = ElementTree.parse("junit.xml").getroot()
    [suite] = suites
    cases = {case.get("name"): case for case in suite}
    assert suite.get("tests") == str(len(broken.cases)) == str(len(cases))
    assert set(cases) == set(broken.cases)
    for name, case in cases.items():
        page = str(name).split(".")[0]
        assert case.get("classname") == f"conformance.backend.{page}"
        assert [p.get("value") for p in case.iter("property")] == [str(name).split("/")[0], name]
        failure = case.find("failure")
        assert (failure is not None) == bool(broken.cases[str(name)]["broken"])
        if failure is not None:
            text = str(failure.text)
            assert text.startswith("BROKEN  packet.response-tag  (MUST, backend, settled)\n")
            assert "\n  happened   the tag 0xffff\n" in text and f" {name}" in text
            assert "Traceback" not in text


def test_jsonl(broken: Ran) -> None:
    header, *rest, footer = broken.results
    assert (header["kind"], header["format"], header["roles"]) == ("header", 1, ["backend"])
    assert (header["tpm"], header["link"]) in (("2.0", "memory"), ("2.0", "process"))
    assert (footer["kind"], footer["exit"]) == ("footer", 1)
    kinds = [line["kind"] for line in rest]
    assert kinds == sorted(kinds)  # all cases, then all clauses
    assert footer["verdicts"]["broken"] == 1
    assert sum(footer["verdicts"].values()) == kinds.count("clause")
    tag = next(line for line in rest if line["id"] == "packet.response-tag")
    assert (tag["verdict"], tag["breaches"] > 0) == ("broken", True)
    assert tag["findings"][0]["happened"] == "the tag 0xffff"
    assert Path(tag["findings"][0]["trace"]).is_file()


def test_junit_of_what_was_not_reached(judge: Judge) -> None:
    ran = run(judge, "raises", "packet.response-tag", "--junit", "junit.xml")
    assert ran.code == 2
    failures = [str(e.text) for e in ElementTree.parse("junit.xml").iter("failure")]
    assert len(failures) == 4
    assert all("was not reached: waited for an answer: raised Runtime" in f for f in failures)


def test_junit_of_what_does_not_apply(judge: Judge) -> None:
    ran = judge(
        *("run", "frontend", "--exec", command("honest_frontend"), "--junit", "junit.xml"),
        *("states.cancel-when-busy", "--jsonl", "results.jsonl"),
    )
    assert ran.code == 0
    [skipped] = ElementTree.parse("junit.xml").iter("skipped")
    why = "the target does not declare the capability 'cancel'"
    assert skipped.get("message") == why
    assert f"\nNOT APPLICABLE  {why}\n" in ran.out
    assert ran.verdicts["states.cancel-when-busy"] == "not applicable"


def test_the_report_names_what_its_own_cases_gave_no_occasion_for(judge: Judge) -> None:
    """A TPM that answers at once is never met at work; other clauses were not asked for."""
    program = shlex.quote(str(EXAMPLES / "from_pages"))
    ran = judge("run", "backend", "--exec", program, "robust.answer-place", OTHER)
    assert ran.code == 0
    assert "\nNOT EXERCISED  robust.answer-place: no case gave an occasion\n" in ran.out


@pytest.mark.parametrize("option", ["--junit", "--jsonl"])
def test_3_reports_that_cannot_be_written(judge: Judge, option: str) -> None:
    before = judge("run", "backend", "--object", REFERENCE, option, "/dev/null/report")
    assert (before.code, before.out) == (3, "")
    assert before.err.startswith("vtpm-conformance: /dev/null/report: cannot be written: ")
    after = judge("run", "backend", "--object", REFERENCE, "packet", option, "/dev/full")
    assert after.code == 3
    assert "verdict    no clause seen broken" in after.out
    assert after.err == "vtpm-conformance: /dev/full: cannot be written: No space left on device\n"


def test_reports_go_into_folders_that_are_made(judge: Judge) -> None:
    files = ("--junit", "new/a/junit.xml", "--jsonl", "new/b/results.jsonl")
    assert judge("run", "backend", "--object", REFERENCE, "packet", *files).code == 0
    assert Path("new/a/junit.xml").is_file() and Path("new/b/results.jsonl").is_file()


def test_what_a_target_says_does_not_reach_the_terminal_as_it_is(judge: Judge) -> None:
    ran = judge(
        *("run", "backend", "--exec", command("colours_the_terminal"), OTHER),
        *("--timeout-multiplier", "0.1"),
    )
    assert ran.code == 1
    assert "\x1b" not in ran.out and "\r" not in ran.out
    assert r"  stderr     \x1b[2Jall is well\x1b[0m" in ran.out


def test_letters_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    done = subprocess.run(
        [*JUDGE, "run", "backend", "--exec", b"/nowhere/b\xc3\xa4ckend\xff"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PATH": "/usr/bin"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith(rb"vtpm-conformance: cannot start '/nowhere/b\xe4ckend\udcff'")
    assert list(TraceReader(tmp_path / "vtpm-traces/smoke.jsonl"))


# Traces that are checked.


def test_check_of_several_traces(judge: Judge) -> None:
    run(judge, "wrong_tag", TAG, "connecting.init-wait/connect")
    good = "vtpm-traces/connecting.init-wait__connect.jsonl"
    bad = "vtpm-traces/packet.response-tag__response.jsonl"
    assert judge("check", good).code == 0
    for order in ((good, bad), (bad, good)):
        ran = judge("check", *order, "--jsonl", "results.jsonl")
        assert ran.code == 1
        assert ran.out.count("verdict    ") == 2
        assert [line["exit"] for line in ran.results if line["kind"] == "footer"] == [
            int(path == bad) for path in order
        ]


def test_4_check_of_a_refused_trace(judge: Judge) -> None:
    run(judge, REFERENCE, TAG)
    path = Path("vtpm-traces/packet.response-tag__response.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:10], lines[10].replace(b'"t":', b'"t":1'), *lines[11:]]))
    ran = judge("check", str(path))
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == (
        f"vtpm-conformance: {path}: refused: line 11:"
        " altered: its checksum does not match it and the lines before\n"
    )
    assert judge("check", "none.jsonl").err == (
        "vtpm-conformance: none.jsonl: refused: line 1: cannot be read: No such file or directory\n"
    )


def test_check_says_when_a_clause_read_otherwise(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(judge, REFERENCE, TAG)
    known = clauses.load()
    other = known | {
        "packet.response-tag": replace(known["packet.response-tag"], checksum="0" * 12)
    }
    monkeypatch.setattr(clauses, "load", lambda: other)
    ran = judge("check", "vtpm-traces/packet.response-tag__response.jsonl")
    assert ran.code == 0
    assert ran.out.startswith("note: recorded when packet.response-tag read otherwise\n")


# A suite of one's own.


def own_suite(folder: Path, *arguments: str) -> tuple[int, str]:
    plugins = ("-p", "conformance.pytest_plugin", "-p", "no:cacheprovider")
    (folder / "test_own.py").write_text("def test_own():\n    assert True\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *arguments, "--junitxml=junit.xml"],
        cwd=folder,
        env=environment(folder) | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert survivors(folder) == []
    return done.returncode, done.stdout


def test_the_plugin_adds_the_cases_to_a_suite(tmp_path: Path) -> None:
    backend = shlex.quote(str(EXAMPLES / "backend"))
    code, out = own_suite(tmp_path, "--vtpm-role", "backend", "--vtpm-exec", backend)
    assert code == 0, out
    ours = [case for case in CASES.values() if case.role.value == "backend"]
    cases, lacking = {case.id for case in ours}, sum(bool(case.needs) for case in ours)
    assert f"{len(cases) + 1 - lacking} passed, {lacking} skipped" in out
    names = {e.get("name") for e in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")}
    assert names == cases | {"test_own"}
    assert {path.name for path in (tmp_path / "vtpm-traces").iterdir()} == {
        f"{case.replace('/', '__')}.jsonl" for case in cases
    }


def test_the_plugin_shows_what_is_broken(tmp_path: Path) -> None:
    target = f"{OBJECTS}:wrong_tag"
    code, out = own_suite(tmp_path, "--vtpm-role", "backend", "--vtpm-object", target)
    assert code == 1
    assert "test_own.py ." in out
    assert "BROKEN  packet.response-tag  (MUST, backend, settled)\n" in out
    assert "  happened   the tag 0xffff\n" in out
    assert "Traceback" not in out and "CaseFailed" not in out
    failed = re.findall(r"FAILED conformance\.backend\.(\S+)::(\S+)", out)
    assert ("packet", TAG) in failed and (
        "connecting",
        "connecting.init-wait/connect",
    ) not in failed


def test_the_plugin_without_a_target_adds_nothing(tmp_path: Path) -> None:
    code, out = own_suite(tmp_path)
    assert code == 0 and "1 passed" in out


@pytest.mark.parametrize("arguments", [[], ["--vtpm-exec", "a", "--vtpm-object", "b:c"]])
def test_the_plugin_with_a_role_alone(tmp_path: Path, arguments: list[str]) -> None:
    code, _ = own_suite(tmp_path, "--vtpm-role", "backend", *arguments)
    assert code == pytest.ExitCode.USAGE_ERROR
