# SPDX-License-Identifier: MIT
"""
libtpms through ctypes: one TPM a process, its state in a Python dict.
"""

import ctypes as c
from functools import cache
from typing import Any

from conformance.errors import AdapterError
from conformance.targets.threaded import STARTUP, is_harmless, refusal
from vtpm_ref.packet import CODES, Family, PacketHeader, error_response
from vtpm_ref.page import capacity

LIBRARY = "libtpms.so.0"
_APT = "apt-get install libtpms0"

#: What ``TPMLIB_ChooseTPMVersion`` calls each family.
_VERSIONS = {Family.TPM12: 0, Family.TPM20: 1}

_RETRY, _BYTES, _NUMBER = 0x800, c.POINTER(c.c_void_p), c.POINTER(c.c_uint32)

#: The types of tpm_library.h; every function returns a 32-bit ``TPM_RESULT``.
_INIT = c.CFUNCTYPE(c.c_uint32)
_LOAD = c.CFUNCTYPE(c.c_uint32, _BYTES, _NUMBER, c.c_uint32, c.c_char_p)
_STORE = c.CFUNCTYPE(c.c_uint32, c.c_void_p, c.c_uint32, c.c_uint32, c.c_char_p)
_DELETE = c.CFUNCTYPE(c.c_uint32, c.c_uint32, c.c_char_p, c.c_ubyte)
_LOCALITY = c.CFUNCTYPE(c.c_uint32, _NUMBER, c.c_uint32)
_PRESENCE = c.CFUNCTYPE(c.c_uint32, c.POINTER(c.c_ubyte), c.c_uint32)


class _Callbacks(c.Structure):
    _fields_ = (
        ("size", c.c_int),
        ("nvram_init", _INIT),
        ("nvram_load", _LOAD),
        ("nvram_store", _STORE),
        ("nvram_delete", _DELETE),
        ("io_init", _INIT),
        ("io_getlocality", _LOCALITY),
        ("io_getphysicalpresence", _PRESENCE),
    )


def available() -> str:
    """
    What to do before libtpms can be used; empty if nothing.
    """
    return "" if loads(LIBRARY) else _APT


def loads(library: str) -> bool:
    """
    Whether a shared library is installed.
    """
    try:
        c.CDLL(library)
    except OSError:
        return False
    return True


class Chip:
    """
    The one TPM that libtpms keeps for a process.

    :ivar nvram: what it has stored, by libtpms's names.
    """

    def __init__(self) -> None:
        if missing := available():
            raise AdapterError(f"the TPM library {LIBRARY} is missing: {missing}")
        self._lib = c.CDLL(LIBRARY)
        self._malloc = c.CDLL(None).malloc
        self._malloc.restype, self._malloc.argtypes = c.c_void_p, (c.c_size_t,)
        arguments = (_BYTES, _NUMBER, _NUMBER, c.c_char_p, c.c_uint32)
        self._lib.TPMLIB_Process.argtypes = arguments
        self._response, self._size, self._room = c.c_void_p(), c.c_uint32(), c.c_uint32()
        self._callbacks = _Callbacks(
            c.sizeof(_Callbacks),
            _INIT(lambda: 0),
            _LOAD(self._load),
            _STORE(self._store),
            _DELETE(self._delete),
            _INIT(lambda: 0),
            _LOCALITY(self._get_locality),
            _PRESENCE(self._get_presence),
        )
        self.nvram: dict[str, bytes] = {}
        self._family = Family.NONE
        self._fresh = False
        self._locality = 0

    def start(self, family: Family, nvram: dict[str, bytes] | None) -> None:
        """
        Switch on and send Startup(CLEAR), unless it is still fresh.
        """
        if nvram is None and self._fresh and family is self._family:
            self.nvram = dict(self.nvram)
            return
        self.nvram = {} if nvram is None else nvram
        self._family, self._fresh = family, False
        self._lib.TPMLIB_Terminate()
        self._must("TPMLIB_ChooseTPMVersion", _VERSIONS[family])
        self._must("TPMLIB_RegisterCallbacks", c.byref(self._callbacks))
        # It must not promise its user packets that do not fit the page.
        self._lib.TPMLIB_SetBufferSize(capacity(), None, None)
        self._must("TPMLIB_MainInit")
        code = PacketHeader.unpack(self.process(STARTUP[family], 0)).code
        if code:
            raise AdapterError(f"libtpms refuses Startup(CLEAR) of TPM {family.value}: {code:#x}")
        self._fresh = nvram is None

    def process(self, packet: bytes, locality: int) -> bytes:
        """Execute one command and return its response."""
        if refused := refusal(self._family, packet, locality):
            return refused
        self._fresh &= is_harmless(packet)
        self._locality = locality
        answer = (c.byref(self._response), c.byref(self._size), c.byref(self._room))
        if self._lib.TPMLIB_Process(*answer, packet, len(packet)):
            return error_response(self._family, CODES[self._family].failure)
        return c.string_at(self._response, self._size.value)

    def cancel(self) -> bool:
        """Cancel the running command; whether this TPM can."""
        return bool(self._lib.TPMLIB_CancelCommand() == 0)

    def _must(self, function: str, *arguments: Any) -> None:
        result = getattr(self._lib, function)(*arguments)
        if result:
            self._family = Family.NONE
            raise AdapterError(f"libtpms does not start: {function} returns {result:#x}")

    # What libtpms asks of its surroundings.

    def _load(self, data: Any, length: Any, _number: int, name: bytes) -> int:
        stored = self.nvram.get(name.decode())
        if stored is None:
            return _RETRY
        data[0] = self._malloc(len(stored) or 1)  # libtpms frees it
        c.memmove(data[0], stored, len(stored))
        length[0] = len(stored)
        return 0

    def _store(self, data: int, length: int, _number: int, name: bytes) -> int:
        self.nvram[name.decode()] = c.string_at(data, length)
        return 0

    def _delete(self, _number: int, name: bytes, must_exist: int) -> int:
        found = self.nvram.pop(name.decode(), None) is not None
        return 0 if found or not must_exist else _RETRY

    def _get_locality(self, locality: Any, _number: int) -> int:
        locality[0] = self._locality
        return 0

    def _get_presence(self, presence: Any, _number: int) -> int:
        presence[0] = 0
        return 0


@cache
def chip() -> Chip:
    """
    The TPM of this process.

    :raises AdapterError: libtpms is missing.
    """
    return Chip()
