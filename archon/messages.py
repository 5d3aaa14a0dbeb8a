"""One chat message, as every layer of the project passes it on."""

from typing import NamedTuple


class Message(NamedTuple):
    """A turn of a conversation: ``role`` is ``system``, ``user`` or ``assistant``.

    To the sandbox go a ``program`` in each of its forms, the ``test`` it is put to and the name of
    the ``function`` that the test calls.
    """

    role: str
    content: str
