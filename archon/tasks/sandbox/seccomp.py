"""The system calls that a sandboxed program does not get."""

import errno
import platform
import struct

from archon.errors import UsageError

_X86_64, _AARCH64 = "x86_64", "aarch64"
_AUDIT_ARCH = {_X86_64: 0xC000003E, _AARCH64: 0xC00000B7}

# Memory that no limit counts, the memory of other processes, and kernel interfaces that
# generated code has no use for. Numbers: asm/unistd_64.h and asm-generic/unistd.h.
_DENIED = {
    "shmget": {_X86_64: 29, _AARCH64: 194},
    "memfd_create": {_X86_64: 319, _AARCH64: 279},
    "memfd_secret": {_X86_64: 447, _AARCH64: 447},
    "ptrace": {_X86_64: 101, _AARCH64: 117},
    "process_vm_readv": {_X86_64: 310, _AARCH64: 270},
    "process_vm_writev": {_X86_64: 311, _AARCH64: 271},
    "pidfd_getfd": {_X86_64: 438, _AARCH64: 438},
    "unshare": {_X86_64: 272, _AARCH64: 97},
    "setns": {_X86_64: 308, _AARCH64: 268},
    "mount": {_X86_64: 165, _AARCH64: 40},
    "add_key": {_X86_64: 248, _AARCH64: 217},
    "request_key": {_X86_64: 249, _AARCH64: 218},
    "keyctl": {_X86_64: 250, _AARCH64: 219},
    "bpf": {_X86_64: 321, _AARCH64: 280},
    "perf_event_open": {_X86_64: 298, _AARCH64: 241},
    "userfaultfd": {_X86_64: 323, _AARCH64: 282},
    "io_uring_setup": {_X86_64: 425, _AARCH64: 425},
}

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCH_AT = 0, 4
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE = 0x00050000 | errno.EPERM
_X32 = 0x40000000
"""Added to numbers, makes an x86-64 kernel take them as calls of its 32-bit form."""


def denied_calls() -> bytes:
    """Return the filter for bubblewrap's ``--seccomp``.

    Raises:
        UsageError: The numbers of system calls are not known for this processor.
    """
    machine = platform.machine()
    if machine not in _AUDIT_ARCH:
        raise UsageError(
            f"the sandbox knows the system calls of {' and '.join(_AUDIT_ARCH)}, not of {machine}: "
            "give --unsafe-code to run generated code unprotected"
        )
    numbers = [call[machine] for call in _DENIED.values()]
    # Jumps count the instructions to skip: from test i of n to the refusal at the end.
    tests = [(_EQUAL, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    program = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, len(numbers) + 1, 0, _X32),
        *tests,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
