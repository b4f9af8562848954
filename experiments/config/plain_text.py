"""Text that a terminal only shows and does not obey.

A run folder or a config may come from a stranger. Escape sequences (CSI, OSC and their one-character forms),
backspaces and the controls that reorder text could change what the user reads. Unicode has categories for them
all.
"""

import unicodedata

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, format characters, lone surrogates, line and paragraph ends
HARMLESS = "\n\t\u00ad\u200c\u200d"  # soft hyphens, joiners and non-joiners of letters and emoji


def printable(text: str) -> str:
    """The text with control characters written out, as `\\x1b`, where a terminal would obey them."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_written_out(character) if is_obeyed(character) else character for character in text)


def is_obeyed(character: str) -> bool:
    """Whether a terminal might do something other than show the character."""
    return unicodedata.category(character) in OBEYED and character not in HARMLESS


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
