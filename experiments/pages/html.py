"""HTML in which everything is escaped that is not markup already."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from html import escape


class Html(str):
    """Text that is markup and safe as it is."""

    __slots__ = ()


Child = str | Html | Iterable["Child"] | None

_WITHOUT_END = frozenset({"br", "hr", "img", "input", "link", "meta"})


def element(tag: str, *children: Child, **attributes: str | float | bool | None) -> Html:
    """An element; text among its children and attributes is escaped.

    Attributes: a trailing underscore is dropped (`class_`), others become hyphens (`data_moment`); True is an
    attribute without value, False and None are left out.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _WITHOUT_END:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(children: Child) -> Html:
    """Children one after the other."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return Html(escape(children))
    return Html("".join(joined(child) for child in children))


def _attribute(name: str, value: str | float | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def data_uri(content: bytes, kind: str) -> str:
    """A file inside an address."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def page(title: str, style: str, script: str, *children: Child) -> Html:
    """A whole page that needs no network and lets nothing in.

    Its content security policy names the digests of the one style sheet and the one script: whatever else might
    get into the page is not executed, and nothing is fetched from anywhere.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style)),
    )
    body = element("body", *children, element("script", Html(script)))
    return Html(f'<!doctype html>\n<html lang="en">{head}{body}</html>\n')


def _digest(content: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
