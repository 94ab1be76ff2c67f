"""Errors that are the user's to mend: one clear line that says what, where and how, and an exit code."""

from __future__ import annotations


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
