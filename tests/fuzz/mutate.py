"""Edits of bytes and of lines, regardless of their meaning."""

from __future__ import annotations

from random import Random

INSERTS = (
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\r", b"\n", b"\t",
    b"\x1b[2J", b"\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b'"', b"'", b"\\", b"{", b"}", b"[",
    b"]", b": ", b"- ", b"#", b"&a ", b"*a", b"!!python/name:os.system ", b"<script>", b"../../x",
    b"A" * 5000, b"[" * 3000, b"{a: " * 1500, b"9" * 400, b"-1", b"1e999", b".nan", b"null",
)  # fmt: skip


def mutate_bytes(data: bytes, rng: Random) -> bytes:
    """Return the bytes after one to six edits, each at a random place."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = rng.choice(BYTE_EDITS)(data, rng)
    return data


def mutate_text(text: str, rng: Random) -> bytes:
    """Return the text in UTF-8 after edits of its lines and of its bytes."""
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 2, 4))):
            text = rng.choice(LINE_EDITS)(text.split("\n"), rng)
    data = text.encode()
    return data if rng.random() < 0.4 else mutate_bytes(data, rng)


def _flip(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(min(len(changed), rng.choice((1, 1, 8, 64)))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


def _zero(data: bytes, rng: Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + bytes(stop - start) + data[stop:]


def _truncate(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _behead(data: bytes, rng: Random) -> bytes:
    return data[rng.randrange(len(data) + 1) :]


def _drop(data: bytes, rng: Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def _double(data: bytes, rng: Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:stop] + data[start:stop] * rng.choice((1, 1, 50)) + data[stop:]


def _splice(data: bytes, rng: Random) -> bytes:
    """Return the bytes with a piece copied over another place."""
    start, stop = _span(data, rng)
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[start:stop] + data[place + stop - start :]


def _insert(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(INSERTS) + data[place:]


def _empty(data: bytes, rng: Random) -> bytes:
    return rng.choice((b"", b"\n", b"\x00" * 64, rng.randbytes(64)))


def _span(data: bytes, rng: Random) -> tuple[int, int]:
    """Return the bounds of a piece, mostly a short one."""
    start = rng.randrange(len(data) + 1)
    longest = rng.choice((4, 32, 512, len(data)))
    return start, min(len(data), start + rng.randrange(longest + 1))


BYTE_EDITS = (
    _flip, _flip, _overwrite, _zero, _truncate, _truncate, _behead, _drop, _double, _splice,
    _insert, _insert, _empty,
)  # fmt: skip


def _drop_line(lines: list[str], rng: Random) -> str:
    del lines[rng.randrange(len(lines))]
    return "\n".join(lines)


def _double_line(lines: list[str], rng: Random) -> str:
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return "\n".join(lines)


def _swap_lines(lines: list[str], rng: Random) -> str:
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def _indent_line(lines: list[str], rng: Random) -> str:
    place = rng.randrange(len(lines))
    lines[place] = rng.choice((" ", "  ", "\t", "        ")) + lines[place]
    return "\n".join(lines)


def _edit_columns(lines: list[str], rng: Random) -> str:
    """Return a line with a field lost, doubled, emptied or moved."""
    place = rng.randrange(len(lines))
    mark = "\t" if "\t" in lines[place] else " "
    fields = lines[place].split(mark)
    which = rng.randrange(len(fields))
    match rng.randrange(4):
        case 0:
            del fields[which]
        case 1:
            fields.insert(which, fields[which])
        case 2:
            fields[which] = ""
        case 3:
            rng.shuffle(fields)
    lines[place] = mark.join(fields)
    return "\n".join(lines)


def _other_line_ends(lines: list[str], rng: Random) -> str:
    return rng.choice(("\r\n", "\r", "\n\n", "\u2028", "")).join(lines)


LINE_EDITS = (
    _drop_line, _double_line, _swap_lines, _indent_line, _edit_columns, _edit_columns,
    _other_line_ends,
)  # fmt: skip
