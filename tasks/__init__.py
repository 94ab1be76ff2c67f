"""Built-in tasks, offered through the same door as any plugin's."""

from __future__ import annotations


def plugins() -> dict[str, dict[str, str]]:
    """Table ``kind -> name -> "module:attr"``; attributes load when used."""
    return {}
