# SPDX-License-Identifier: MIT
"""
Builds the lab in its cache folder, step by step; what is there already stays.

``root.tar`` (Debian's packages) -> ``images/`` (what boots) -> ``snapshot/`` (booted,
with the Linux guest idle).  Each step is named by a key, the checksum of all
that it is made of, and appears under its name only when it is complete.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import LabError
from conformance.lab import images, machine, supervise

SUITE = "bookworm"

#: Packages whose files are unpacked into the two roots.
PACKAGES = (
    "busybox-static",
    "xen-utils-4.17",
    "xenstore-utils",
    "python3.11-minimal",
    "libpython3.11-stdlib",
    "swtpm",
    "tpm2-tools",
    "libtss2-tcti-device0",
    "libgcc-s1",
)

#: What the host has to have: the program, and Debian's package of it.
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap"}

#: Seconds for the packages, and from power-on to the guest's agent.
FETCH_LIMIT, BOOT_LIMIT = 600.0, 180.0

_HERE = Path(__file__).parent

Say = Callable[[str], None]


@dataclass(frozen=True)
class Lab:
    """
    Where the lab is, and what it is made of.

    :param folder: the cache folder.
    """

    folder: Path

    @property
    def root(self) -> Path:
        """The packages' files."""
        return self.folder / "root.tar"

    @property
    def images(self) -> Path:
        """Folder of what boots."""
        return self.folder / "images"

    @property
    def snapshot(self) -> Path:
        """Folder of the saved machine."""
        return self.folder / "snapshot"

    def facts(self) -> dict[str, str]:
        """
        Versions of Xen, of the kernel and of the packages, as they were booted.

        :raises LabError: there is no such lab, or it was made by something else.
        """
        if missing := missing_tools(["qemu-system-x86_64"]):
            raise LabError(f"the lab needs {missing}")
        try:
            facts = json.loads((self.snapshot / "facts.json").read_text())
        except (OSError, ValueError):
            raise LabError(f"there is no lab in {self.folder}: make lab") from None
        for name, now in _snapshot_parts(self).items():
            if facts["key"].get(name) != now:
                raise LabError(
                    f"the lab in {self.folder} was saved with another {name}"
                    f" ({facts['key'].get(name)}, now {now}): make lab"
                )
        return dict(facts["versions"])


def default() -> Lab:
    """The lab that ``VTPM_LAB`` names, or ``build/lab``."""
    return Lab(Path(os.environ.get("VTPM_LAB") or "build/lab").absolute())


def missing_tools(names: list[str]) -> str:
    """How to install what is missing of ``names``; empty if nothing is."""
    packages = [TOOLS[name] for name in names if not shutil.which(name)]
    return f"apt-get install {' '.join(packages)}" if packages else ""


def build(lab: Lab, say: Say) -> None:
    """
    Make what is missing or out of date.

    :param say: told of each step.
    :raises LabError: a tool or a package is missing, or a step fails.
    """
    if missing := missing_tools(list(TOOLS)):
        raise LabError(f"the lab needs {missing}")
    try:
        with _alone(lab.folder, say):
            _step(lab, "packages", _packages_key(), lab.root, _fetch, say)
            _step(lab, "images", _images_key(), lab.images, _make_images, say)
            _step(lab, "snapshot", _snapshot_key(lab), lab.snapshot, _save, say)
    except OSError as error:
        raise LabError(f"{lab.folder}: {error.strerror}") from error


def _step(
    lab: Lab, name: str, key: str, result: Path, make: Callable[[Lab, Path], None], say: Say
) -> None:
    """Make ``result`` unless it has been made with ``key``."""
    mark = lab.folder / f"{name}.key"
    if mark.is_file() and mark.read_text() == key and result.exists():
        say(f"{name}: there")
        return
    start = time.monotonic()
    say(f"{name}: being made ...")
    mark.unlink(missing_ok=True)
    _remove(result)
    fresh = lab.folder / "fresh"
    _remove(fresh)
    try:
        make(lab, fresh)
        fresh.rename(result)
    except OSError as error:
        where = error.filename or lab.folder
        raise LabError(f"stage {name}: {where}: {error.strerror}") from error
    finally:
        _remove(fresh)
    mark.write_text(key)
    say(f"{name}: made in {time.monotonic() - start:.1f} s")


def _fetch(lab: Lab, fresh: Path) -> None:
    """Let mmdebstrap fetch and unpack the packages; it checks their signatures."""
    scratch = lab.folder / "scratch"
    _clear(scratch)
    scratch.mkdir()
    hook = f'sh "{_HERE / "fetch.sh"}" "$1"'
    command = [
        *(sys.executable, str(_HERE / "supervise.py")),
        "mmdebstrap",
        "--variant=extract",
        f"--include={','.join(PACKAGES)}",
        f"--extract-hook={hook}",
        "--format=tar",
        SUITE,
        str(fresh),
    ]
    log = lab.folder / "packages.log"
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            env=environment,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        status = process.wait(FETCH_LIMIT)
    except subprocess.TimeoutExpired:
        raise LabError(f"stage packages: not done after {FETCH_LIMIT:g} s; see {log}") from None
    finally:
        process.stdin.close()  # lets mmdebstrap clean up, if it still runs
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(supervise.GRACE + 5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with contextlib.suppress(LabError):
            _clear(scratch)  # the next build tries again, and says what it met
    if status:
        told = [line for line in log.read_text("utf-8", "replace").splitlines() if "E: " in line]
        reason = told[0] if told else f"mmdebstrap ended with {status}"
        raise LabError(f"stage packages: {reason}; see {log}")


def _clear(scratch: Path) -> None:
    """
    Remove what mmdebstrap has left; without root's rights some of it belongs to others.

    :raises LabError: it cannot be removed.
    """
    try:
        _remove(scratch)
        return
    except PermissionError:
        helper = ["mmdebstrap", "--unshare-helper", "find"]
        for root in scratch.iterdir():
            emptied = [*helper, str(root), "-mount", "-mindepth", "1", "-delete"]
            subprocess.run(emptied, cwd="/", capture_output=True, check=False)
    try:
        _remove(scratch)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        raise LabError(f"stage packages: {why}; remove {scratch} as root") from error


def _make_images(lab: Lab, fresh: Path) -> None:
    fresh.mkdir()
    root = images.Root(lab.root)
    images.make(root, fresh)
    (fresh / "versions.json").write_text(json.dumps(images.versions(root), indent=1))


def _save(lab: Lab, fresh: Path) -> None:
    """Boot once, wait until the guest's agent speaks, and save all of it."""
    fresh.mkdir()
    console = lab.folder / "boot.log"
    console.unlink(missing_ok=True)
    running = machine.boot(lab.images, console)
    try:
        said, _ = running.receive(BOOT_LIMIT, "stage boot")
        if not said["ok"]:
            raise LabError(f"stage {said['stage']}: {said['why']}; see {console}")
        running.save(fresh)
    finally:
        running.end()
    packages = json.loads((lab.images / "versions.json").read_text())
    versions = {
        "Xen": said["xen"],
        "Linux": said["linux"],
        "guest": str(said["guest"]),
        "bytecode": said["magic"],
        **{f"package {name}": version for name, version in sorted(packages.items())},
    }
    facts = {"key": _snapshot_parts(lab), "versions": versions}
    (fresh / "facts.json").write_text(json.dumps(facts, indent=1))


# Keys.


def _packages_key() -> str:
    hook = (_HERE / "fetch.sh").read_bytes()
    return _digest(SUITE.encode(), " ".join(PACKAGES).encode(), hook)


def _images_key() -> str:
    sources = [_HERE / name for name in ("images.py", "cpio.py", "kernel.py")]
    sources += [_HERE / "inside" / name for name in images.INSIDE]
    return _digest(_packages_key().encode(), *(path.read_bytes() for path in sources))


def _snapshot_parts(lab: Lab) -> dict[str, str]:
    """What a snapshot only fits together with, in words."""
    ran = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True)
    return {
        "QEMU": ran.stdout.split("\n")[0].removeprefix("QEMU emulator version "),
        "set of images": _images_key(),
        "machine": machine.shape(),
    }


def _snapshot_key(lab: Lab) -> str:
    return _digest(json.dumps(_snapshot_parts(lab)).encode())


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """One build at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is under way here; waiting for it")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
