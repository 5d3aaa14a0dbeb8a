"""The exceptions a caller may see; each message says what, where, and what to do."""


class ArchonError(Exception):
    """Something failed at run time; commands print the message and exit with status 1."""

    exit_status = 1


class UsageError(ArchonError):
    """The input is wrong (file, configuration, option); commands exit with status 2."""

    exit_status = 2


class EngineError(ArchonError):
    """A model server failed, and retrying will not help."""


class MeterError(ArchonError):
    """Energy cannot be read on this machine the way it was asked for."""


class LedgerError(ArchonError):
    """The ledger file is locked, corrupt, or of another version."""

    exit_status = 2
