"""Errors that are the user's to mend: one clear line that says what, where and how, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class UserError(ValueError):
    """Bad usage or bad input. The command line prints the message alone and exits with ``code``.

    Codes: 1 the answer is no, 2 bad usage or bad input, 3 inconclusive, incomplete or not comparable.
    """

    def __init__(self, message: str, *, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class AbsentError(UserError):
    """Something that is fetched apart from the package, such as an instrument's weights, is not on this machine.

    ``doctor`` names it without calling the installation faulty.
    """


class HaltError(UserError):
    """Raised by a model that can go on no longer, as where a server takes its key no more: the run stops.

    ``outcomes``: what came of the batch until then, in its order, None for what is to be asked again.
    """

    def __init__(self, message: str, outcomes: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.outcomes = outcomes


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a batch, with what came of it until then; see ``HaltError``."""

    def __init__(self, outcomes: Sequence[Any] = ()) -> None:
        super().__init__()
        self.outcomes = outcomes
