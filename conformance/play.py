# SPDX-License-Identifier: MIT
"""
Plays one case against a started target.

Standard library only, so that it also runs where the devices are.
"""

from conformance.cases import Case
from conformance.errors import AdapterError, SetupFailed, TargetSilent
from conformance.links.base import Link
from conformance.tester import BackendTester, FrontendTester
from vtpm_ref.states import Role


def start(link: Link) -> None:
    """
    Start the target of ``link`` and record what it says of itself.

    :raises AdapterError: it does not start; the trace says so.
    """
    try:
        link.start()
    except OSError as error:
        trouble = AdapterError(f"the target could not be started: {error.strerror}")
        link.recorder.event("trouble", what=str(trouble))
        raise trouble from error
    except AdapterError as error:
        link.recorder.event("trouble", what=str(error))
        raise


def play(case: Case, link: Link, scale: float) -> str:
    """
    Play ``case``, unless the target cannot do what it needs.

    :return: in words, why the case does not apply; empty if it was played.
    """
    recorder = link.recorder
    recorder.event("target", tpm=link.family.value, can=",".join(sorted(link.can)))
    missing = sorted(set(filter(None, case.needs.split(","))) - link.can)
    if missing:
        return f"the target does not declare the capability {missing[0]!r}"
    tester_type = FrontendTester if case.role is Role.BACKEND else BackendTester
    recorder.event("phase", name="setup")
    note = ""
    try:
        case.play(tester_type(link.first, scale))
    except SetupFailed as failed:
        note = str(failed)
    except TargetSilent:
        pass
    except AdapterError as error:
        recorder.event("trouble", what=str(error))
    finally:
        recorder.event("phase", name="end", note=note)
    return ""
