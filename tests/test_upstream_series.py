# SPDX-License-Identifier: MIT
"""
The patch series: messages as Xen wants them, and patches that apply.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs_support import need
from upstream import UpstreamError, document, tree
from upstream.__main__ import main, write_series
from upstream.mail import Change, File, Patch, paths
from upstream.series import HEADER, PATHS, series

HEADER_H = Path("/usr/include/xen/io/tpmif.h")

#: The document is another test's matter.
TEXTS = {"pandoc": "# The protocol\n\n#### a.rule\n\nText.\n", "plain": "Text.\n\n[a.rule]\n"}

EACH = pytest.mark.parametrize("patch", series(TEXTS), ids=lambda patch: patch.subject)

#: As much of a tree as the series needs to know it, written anew.
INDEX = (
    "misc\t\t\t\tMisc\nmisc/vtd\t\t\tVT-d HOWTO\nmisc/xen-error-handling\t\tXen Error Handling\n"
)
XENSTORE_PATHS = """# Paths

#### ~/device/first/$DEVID/* []

First.

#### ~/device/pvcalls/$DEVID/* []

Calls.

#### ~/backend/pvcalls/$DOMID/$DEVID/* []

Calls.
"""
MAKEFILE = """\
all: html txt
html: html/misc/vtpm-protocol.html html/misc/vtpm.txt
\tcp INDEX html/index.html
txt: txt/misc/vtpm-protocol.txt
html/misc/%.html: misc/%.pandoc
\tmkdir -p html/misc && cp $< $@
txt/misc/%.txt: misc/%.pandoc
\tmkdir -p txt/misc && cp $< $@
html/misc/%.txt: misc/%.txt
\tmkdir -p html/misc && cp $< $@
"""


@pytest.fixture
def xen(tmp_path: Path) -> Path:
    """A small Xen tree, with the header that libxen-dev installs."""
    if not HEADER_H.exists():
        pytest.skip("not run: apt-get install libxen-dev")
    need("git", "git")
    xen = tmp_path / "xen"
    for name, text in (
        ("docs/INDEX", INDEX),
        ("docs/misc/xenstore-paths.pandoc", XENSTORE_PATHS),
        ("docs/Makefile", MAKEFILE),
        ("docs/configure", "#!/bin/sh\nexit 0\n"),
        ("xen/include/public/io/tpmif.h", HEADER_H.read_text(encoding="utf-8")),
    ):
        (xen / name).parent.mkdir(parents=True, exist_ok=True)
        (xen / name).write_text(text, encoding="utf-8")
    (xen / "docs/configure").chmod(0o755)
    return xen


# Messages


@EACH
def test_the_subject_names_a_component(patch: Patch) -> None:
    """``component: description``, 80 characters at most, no full stop."""
    assert re.fullmatch(r"[a-z]+(/[a-z]+)*: [a-z].*[^.]", patch.subject)
    assert len(patch.subject) <= 80


@EACH
def test_the_body_is_wrapped(patch: Patch) -> None:
    """There is one, in lines of 75 columns at most; a tag stays on one line."""
    message = patch.message()
    assert message.startswith(f"{patch.subject}\n\n{patch.body.strip()[:20]}")
    lines = [line for line in message.splitlines() if not line.startswith("Fixes: ")]
    assert [line for line in lines if len(line) > 75] == []


@EACH
def test_only_a_person_gives_these_tags(patch: Patch, tmp_path: Path) -> None:
    """No mail has a tag that its sender or a reviewer gives; the README names each."""
    tags = ("Signed-off-by:", "Assisted-by:", "Reviewed-by:", "Acked-by:", "Tested-by:")
    assert [tag for tag in tags if tag in patch.mail(1, 1, None)] == []
    write_series([patch], tmp_path, None)
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [tag for tag in tags if tag not in readme] == []


@EACH
def test_the_licence_of_each_file_is_stated(patch: Patch, tmp_path: Path) -> None:
    """The README lists every file with its licence; one that is not GPL says so in its mail."""
    (mail,) = write_series([patch], tmp_path, None)
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    for file in patch.files:
        assert f"| `{mail.name}` | `{file.path}` | {file.kind} | {file.licence} |" in readme
        if file.text:
            assert file.licence == "CC-BY-4.0" and "CC-BY-4.0" in patch.note


def test_the_correction_names_what_it_mends() -> None:
    """Fixes: has twelve digits and the subject of the commit."""
    fixes = 'Fixes: f494d9f3c375 ("mini-os/tpm{back, front}: Change shared page ABI")'
    assert HEADER.message().splitlines()[-1] == fixes


def test_the_series_adds_what_it_is_to_add() -> None:
    """Header, document, index, paths, plain text."""
    assert paths(series(TEXTS)) == [
        "xen/include/public/io/tpmif.h",
        "docs/misc/vtpm-protocol.pandoc",
        "docs/INDEX",
        "docs/misc/xenstore-paths.pandoc",
        "docs/misc/vtpm.txt",
    ]


# Patches


@pytest.mark.parametrize("with_tree", [False, True], ids=["alone", "with XEN_TREE"])
def test_the_series_applies(xen: Path, tmp_path: Path, with_tree: bool) -> None:
    """git am takes all of it, and the files say what they are to say."""
    mails = write_series(series(TEXTS), tmp_path, xen if with_tree else None)
    copy = tree.copy(xen, tmp_path / "copy")
    tree.apply(mails, copy)
    log = subprocess.run(
        ["git", "log", "--format=%B%x00"], cwd=copy, capture_output=True, text=True
    )
    messages = [message.strip() for message in log.stdout.split("\0")]
    assert messages[3::-1] == [patch.message().strip() for patch in series(TEXTS)]

    before = (xen / "xen/include/public/io/tpmif.h").read_text().splitlines()
    after = (copy / "xen/include/public/io/tpmif.h").read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [
        (
            " *  16                   [optional] List of grant IDs",
            " *  8                    [optional] List of grant IDs",
        ),
        (" *  16+4*nr_extra_pages  TPM packet data", " *  8+4*nr_extra_pages   TPM packet data"),
    ]
    added = (copy / "docs/misc/xenstore-paths.pandoc").read_text()
    assert re.findall(r"^#### (\S+) \[\]$", added, re.M) == [
        "~/device/first/$DEVID/*",
        "~/device/vtpm/$DEVID/*",
        "~/device/pvcalls/$DEVID/*",
        "~/backend/vtpm/$DOMID/$DEVID/*",
        "~/backend/pvcalls/$DOMID/$DEVID/*",
    ]
    index = (copy / "docs/INDEX").read_text().splitlines()
    # Eight columns a tab: all titles start in the same one.
    assert {len(line.expandtabs()[:32].rstrip()) < 32 for line in index} == {True}
    assert [line.expandtabs()[32:] for line in index][2] == "Xen vTPM protocol"
    assert (copy / "docs/misc/vtpm-protocol.pandoc").read_text() == TEXTS["pandoc"]
    assert (copy / "docs/misc/vtpm.txt").read_text() == TEXTS["plain"]


def test_a_mail_that_is_written_alone_counts_its_lines() -> None:
    """The second hunk of a file comes behind the five lines that the first one adds."""
    places = re.findall(r"^@@ .*", PATHS.mail(1, 1, None), re.M)
    assert places == ["@@ -313,2 +313,7 @@", "@@ -397,2 +402,7 @@"]


def test_the_header_still_means_the_same(tmp_path: Path) -> None:
    """Without its comments the corrected header is the one that libxen-dev installs."""
    if not HEADER_H.exists():
        pytest.skip("not run: apt-get install libxen-dev")
    before = HEADER_H.read_text(encoding="utf-8")
    after = HEADER.files[0].changed(before)
    code = [re.sub(r"/\*.*?\*/", "", text, flags=re.S) for text in (before, after)]
    assert before != after and code[0] == code[1]


def test_the_documentation_of_the_tree_is_built(xen: Path, tmp_path: Path) -> None:
    """With a tree, the document's HTML and text come out of that tree's own build."""
    copy = tree.copy(xen, tmp_path / "copy")
    tree.apply(write_series(series(TEXTS), tmp_path, xen), copy)
    made = tree.build(copy, ["a.rule"])
    assert [file.name for file in made] == [
        "vtpm-protocol.html",
        "vtpm-protocol.txt",
        "vtpm.txt",
    ]
    with pytest.raises(UpstreamError, match=r"docs/html/misc/vtpm-protocol\.html lacks a\.rul$"):
        tree.build(copy, ["a.rul"])


@pytest.mark.parametrize(
    ("line", "instead", "told"),
    [
        ("cp $< $@", "false", "make html txt in .* failed:"),
        ("txt: txt/misc/vtpm-protocol.txt", "txt:", "made no docs/txt/misc/vtpm-protocol.txt"),
        ("cp INDEX", "echo >", "index.html does not list the document"),
    ],
)
def test_a_documentation_build_that_fails_is_told(
    xen: Path, tmp_path: Path, line: str, instead: str, told: str
) -> None:
    """What went wrong in the tree's own build is shown."""
    makefile = xen / "docs/Makefile"
    assert line in makefile.read_text()
    makefile.write_text(makefile.read_text().replace(line, instead), encoding="utf-8")
    copy = tree.copy(xen, tmp_path / "copy")
    tree.apply(write_series(series(TEXTS), tmp_path, xen), copy)
    with pytest.raises(UpstreamError, match=told):
        tree.build(copy, ["a.rule"])


def test_a_clone_is_left_alone(xen: Path, tmp_path: Path) -> None:
    """A git tree is cloned; what is not committed in it stays there."""
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "all")):
        subprocess.run(["git", *command], cwd=xen, check=True)
    (xen / "scratch").write_text("mine")
    copy = tree.copy(xen, tmp_path / "copy")
    tree.apply(write_series(series(TEXTS), tmp_path, copy), copy)
    assert not (copy / "scratch").exists()
    assert not (xen / "docs/misc/vtpm.txt").exists()


# Trees that are not as expected

CHANGE = File("docs/INDEX", "GPL-2.0", changes=(Change("b\nc\n", "b\nnew\nc\n", 2),))


@pytest.mark.parametrize(
    ("text", "times"), [("a\nc\n", "0 times"), ("b\nc\nb\nc\n", "2 times")], ids=["none", "two"]
)
def test_a_place_that_cannot_be_found_is_told(tmp_path: Path, text: str, times: str) -> None:
    """The lines around a change are there once, or the change is refused."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/INDEX").write_text(text)
    with pytest.raises(UpstreamError, match=f"docs/INDEX has the lines around 'b' {times}"):
        CHANGE.diff(tmp_path)


def test_a_tree_that_has_the_file_already_is_told(tmp_path: Path) -> None:
    """A second application is refused by name."""
    (tmp_path / "new.txt").write_text("there")
    with pytest.raises(UpstreamError, match=r"new\.txt is in .* already"):
        File("new.txt", "MIT", text="text\n").diff(tmp_path)
    with pytest.raises(UpstreamError, match=r"docs/misc/xenstore-paths\.pandoc cannot be read"):
        PATHS.mail(1, 1, tmp_path)


def test_a_series_that_does_not_apply_is_told(xen: Path, tmp_path: Path) -> None:
    """What git am says is shown."""
    mails = write_series(series(TEXTS), tmp_path, None)
    (xen / "docs/INDEX").write_text("other\n")
    copy = tree.copy(xen, tmp_path / "copy")
    with pytest.raises(UpstreamError, match=r"docs/INDEX: patch does not apply"):
        tree.apply(mails, copy)


# The command


def test_make_upstream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes the series, the document and the README, and says that no tree was there."""
    need("pandoc", "pandoc")
    out = tmp_path / "out"
    assert main([str(out)]) == 0
    told = capsys.readouterr().out
    assert f"4 patches, {len(document.clauses())} clauses" in told
    assert "not applied to a tree: make upstream XEN_TREE=/path/to/xen" in told
    assert sorted(file.name for file in out.iterdir()) == [
        "0000-cover-letter.txt",
        "0001-xen-public-correct-the-offsets-in-the-comment-of-io.patch",
        "0002-docs-describe-the-vTPM-protocol.patch",
        "0003-docs-name-the-vtpm-directories-in-xenstore-paths.patch",
        "0004-docs-add-the-vTPM-protocol-as-plain-text.patch",
        "README.md",
        "pages",
        "vtpm-protocol.7",
        "vtpm-protocol.pandoc",
        "vtpm-protocol.rst",
        "vtpm-requirements.rst",
        "vtpm.txt",
    ]


def test_no_tree_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """XEN_TREE that is no Xen tree ends the command with 1."""
    need("pandoc", "pandoc")
    assert main([str(tmp_path / "out"), str(tmp_path)]) == 1
    assert "is no Xen tree: it has no docs/INDEX" in capsys.readouterr().err
