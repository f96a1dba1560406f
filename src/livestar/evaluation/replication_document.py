"""Sections of a Markdown document that a program writes, among prose that people write."""

from __future__ import annotations

from livestar.core.errors import InvalidInput


def put(document: str, name: str, title: str, body: str) -> str:
    """Replaces what stands between a section's markers, `<!-- begin NAME -->` and `<!-- end NAME -->`.

    Args:
        document: Markdown; all else in it is kept as it is.
        name: of the section.
        title: heading of a section that the document does not have yet; it is put at the end.
        body: Markdown.

    Raises:
        InvalidInput: a marker is missing, stands twice, or the end comes before the beginning.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    counts = (document.count(begin), document.count(end))
    if counts == (0, 0):
        return f"{document.rstrip()}\n\n## {title}\n\n{begin}\n{body.strip()}\n{end}\n".lstrip()
    if counts != (1, 1) or document.index(begin) > document.index(end):
        raise InvalidInput(f"section {name!r} wants one {begin} and one {end} after it: repair the document.")
    before, rest = document.split(begin)
    return f"{before}{begin}\n{body.strip()}\n{end}{rest.split(end)[1]}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
