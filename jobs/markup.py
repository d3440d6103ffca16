"""HTML out of Python: text is escaped where it enters, so that nothing from data or contracts can become markup."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *inside: str | None, **attributes: str | float | bool | None) -> Markup:
    """An element. `class_` is class and `data_from` data-from; an attribute that is None or False is left out."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{written}>{together(*inside)}</{name}>")


def together(*parts: str | None) -> Markup:
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts if part is not None))
