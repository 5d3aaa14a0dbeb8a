"""One chat message, as every layer of the project passes it on."""

from typing import NamedTuple


class Message(NamedTuple):
    """A turn of a conversation: ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str
