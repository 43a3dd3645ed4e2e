"""Lists that commands print for people, read back by their headings."""

import re


def rows_of(printed: str) -> list[dict[str, str]]:
    """Each row by its headings; a cell that begins or ends beside its heading is noticed."""
    heading, *lines = printed.splitlines()
    found = list(re.finditer(r"\S+(?: \S+)*", heading))
    starts = [each.start() for each in found]
    rows: list[dict[str, str]] = []
    for line in lines:
        assert all(start == 0 or line[start - 2 : start] == "  " for start in starts), line
        ends = [*starts[1:], len(line)]
        cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        rows.append(dict(zip((each.group() for each in found), cells, strict=True)))
    return rows
