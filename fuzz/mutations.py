"""Seeded mutations of files: of bytes, of JSON and YAML, and of containers whose checksums and lengths stay true."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import yaml

Rng = np.random.Generator
Mutation = Callable[[Rng, bytes], bytes]

STRANGE: list[Any] = [
    *(None, True, False, -1, 0, 1, 2**31, 2**63, 2**70, 10**400, -(2**70)),
    *(0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf")),
    *("", " ", "x", "0", "1", "1.0", "no", "1e999", "NaN", "\x00", "\n", "\ud800", "é" * 200, "x" * 100_000),
    *(
        "[/x]",
        "[red]",
        "../../../etc/passwd",
        "/dev/zero",
        "C:\\a\\b.png",
        "http://127.0.0.1:9/x.png",
        "a%20b.png?x=1#y",
    ),
    *("timm:hf-hub:a/b", "timm:local-dir:/tmp", "__import__('os').abort()"),
    *([], {}, [None], [[]], [[[]]], {"a": 1}, [0] * 1000, [1e999], [[1, 2], [3, 4]], {"__class__": "x"}),
    *({"counts": [1, 2, 3], "size": [2, 3]}, {"counts": "abc", "size": [10**6, 10**6]}),
]
_ENTITIES = b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>'
TOKENS = [
    *(b"", b"\x00", b"\xff", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80"),
    *(b"0", b"-1", b"99999999999999999999", b"1e999", b"nan", b"inf", b"null"),
    *(b"{", b"}", b"[", b"]", b"[" * 500, b'"', b"'", b",", b":", b";", b"\n", b"\r\n", b"\t", b" "),
    *(b"<", b">", b"</", b"/>", b"<!--", b"]]>", b"&lt;", b"&x;", b"&#0;", _ENTITIES),
    *(b"!!python/object:os.system", b"*a", b"&a ", b"../", b"/", b"\\", b"[/x]"),
    *(b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", b"\x80\x00\x00\x00"),
]


def in_bytes(rng: Rng, content: bytes) -> bytes:
    """One to four of: a byte changed, a token written or inserted, a range removed or repeated, the end cut off."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, len(data) + 1))
        span = int(rng.integers(1, 40))
        token = TOKENS[rng.integers(len(TOKENS))]
        match rng.integers(7):
            case 0 | 1 if at < len(data):
                data[at] = int(rng.integers(256))
            case 2:
                data[at : at + len(token)] = token
            case 3:
                data[at:at] = token
            case 4:
                del data[at : at + span]
            case 5:
                data[at:at] = data[at : at + span]
            case 6 if rng.random() < 0.3:
                del data[at:]
    return bytes(data)


def in_json(rng: Rng, content: bytes) -> bytes:
    """A few parts of a JSON text replaced, removed, repeated or nested; now and then its bytes are changed instead."""
    if rng.random() < 0.2:
        return in_bytes(rng, content)
    return json.dumps(in_value(rng, json.loads(content))).encode("utf-8", "surrogatepass")


def in_yaml(rng: Rng, content: bytes) -> bytes:
    """As `in_json`, of YAML."""
    if rng.random() < 0.4:
        return in_bytes(rng, content)
    value = in_value(rng, yaml.safe_load(content))
    # JSON is YAML, and says what YAML's own writer refuses.
    return json.dumps(value).encode("utf-8", "surrogatepass")


def in_value(rng: Rng, value: Any) -> Any:
    """One to three parts of a JSON value replaced, removed, repeated or nested."""
    root = [value]
    for _ in range(rng.integers(1, 4)):
        parts = _containers(root)
        where = parts[rng.integers(len(parts))]
        keys = list(where) if isinstance(where, dict) else list(range(len(where)))
        if not keys:
            continue
        key = keys[rng.integers(len(keys))]
        strange = copy.deepcopy(STRANGE[rng.integers(len(STRANGE))])
        match rng.integers(8):
            case 0 | 1 | 2 | 3:
                where[key] = strange
            case 4 if where is not root:
                del where[key]
            case 5:
                where[key] = [where[key]] * int(rng.integers(1, 4))
            case 6:
                for _ in range(int(rng.integers(1, 300))):
                    where[key] = [where[key]]
            case 7 if isinstance(where, dict):
                where[str(strange)[:200]] = where[key]
            case _ if isinstance(where, list):
                where.append(strange)
    return root[0]


def _containers(value: Any) -> list[Any]:
    """The value and what it contains, as far as these hold parts themselves; of long lists the first twenty."""
    found: list[Any] = []
    rest = [value]
    while rest and len(found) < 2000:
        part = rest.pop()
        if isinstance(part, dict | list):
            found.append(part)
            rest += list(part.values())[:100] if isinstance(part, dict) else part[:20]
    return found


def in_safetensors(rng: Rng, content: bytes) -> bytes:
    """The header of a .safetensors changed as JSON, metadata inside its texts too, its length kept true."""
    if rng.random() < 0.3:
        return in_bytes(rng, content)
    (length,) = struct.unpack("<Q", content[:8])
    header, tensors = json.loads(content[8 : 8 + length]), content[8 + length :]
    about = header.get("__metadata__", {})
    if about and rng.random() < 0.7:
        key = list(about)[rng.integers(len(about))]
        try:
            about[key] = json.dumps(in_value(rng, json.loads(about[key])))
        except ValueError:
            about[key] = in_bytes(rng, about[key].encode()).decode("latin-1")
    else:
        header = in_value(rng, header)
    text = json.dumps(header).encode("utf-8", "replace")
    return struct.pack("<Q", len(text)) + text + tensors


def in_zip(rng: Rng, content: bytes) -> bytes:
    """One entry of a zip archive changed, its checksum kept true; bytes of what is no archive."""
    if rng.random() < 0.2 or not zipfile.is_zipfile(io.BytesIO(content)):
        return in_bytes(rng, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    small = [k for k, (_, data) in enumerate(entries) if len(data) < 200_000]
    at = small[rng.integers(len(small))]
    name, data = entries[at]
    match rng.integers(6):
        case 0:
            del entries[at]
        case 1:
            entries.append((name.replace("data", "x"), data))
        case _:
            entries[at] = name, in_json(rng, data) if name.endswith(".json") else in_bytes(rng, data)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def in_png(rng: Rng, content: bytes) -> bytes:
    """A chunk of a PNG changed, its checksum kept true; half the time that of the header."""
    if rng.random() < 0.2:
        return in_bytes(rng, content)
    chunks, at = [], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    which = 0 if rng.random() < 0.5 else int(rng.integers(len(chunks)))
    kind, data = chunks[which]
    if kind == b"IHDR" and rng.random() < 0.5:
        side = [0, 1, 2, 2**16, 10**6, 199_000_000, 2**31 - 1, 2**32 - 1]
        data = struct.pack(">II", *(side[rng.integers(len(side))] for _ in range(2))) + data[8:]
    else:
        data = in_bytes(rng, data)
    chunks[which] = kind, data
    out = content[:8]
    for kind, data in chunks:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out
