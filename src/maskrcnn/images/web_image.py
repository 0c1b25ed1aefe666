"""Downloads of images by http and https, within limits of size and time.

The libraries of http are imported by a download: most images are files.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from maskrcnn.errors import MaskRCNNError

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

MAX_DOWNLOAD_BYTES = 256 * 2**20
DOWNLOAD_SECONDS = 60.0


def is_url(source: object) -> bool:
    """Whether this is an http(s) address."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def url_parts(url: str) -> tuple[str, ...]:
    """Host and path of an address, each part safe as a file name; ends with "image" where the address names none.

    Raises:
        MaskRCNNError: it is no web address.
    """
    check_address(url)
    split = urlsplit(url)
    path = [re.sub(r"[^\w. -]", "_", unquote(part)) for part in split.path.split("/") if part]
    return (re.sub(r"[^\w.-]", "_", split.netloc), *(path or ["image"]))


def check_address(url: str) -> None:
    """Raises `MaskRCNNError` for what is no web address."""
    try:
        _encoded(url)
    except ValueError as error:
        raise MaskRCNNError(f"cannot be reached: {error}", where=url, fix="check the address") from None


def _encoded(url: str) -> str:
    """The address with spaces and letters beyond ASCII percent-encoded. Raises `ValueError` if it is not valid."""
    if not url.isascii() or not url.isprintable():
        hidden = [c for c in url if not c.isprintable() and not 0xDC80 <= ord(c) <= 0xDCFF]
        if hidden:
            raise ValueError(f"an address holds no character {hidden[0]!r}")
    parts = urlsplit(url)
    if not parts.hostname or " " in parts.netloc:
        raise ValueError("an address names a server, such as https://example.org/image.jpg")
    _ = parts.port  # raises ValueError
    user, at, host = parts.netloc.rpartition("@")
    if not host.isascii():
        name, colon, port = host.partition(":")
        host = f"{name.encode('idna').decode('ascii')}{colon}{port}"
    quoted = [quote(part, safe="%/:=&?~+!$,;'@()*[]", errors="surrogateescape") for part in (parts.path, parts.query)]
    return urlunsplit((parts.scheme, f"{user}{at}{host}", *quoted, ""))


def _opener() -> OpenerDirector:
    """An opener for http and https alone: redirects to ftp, file or anything else fail."""
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        *(request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.HTTPRedirectHandler),
        *(request.HTTPDefaultErrorHandler, request.HTTPErrorProcessor, request.UnknownHandler),
    ):
        opener.add_handler(handler())
    return opener


def download(url: str, *, max_bytes: int = MAX_DOWNLOAD_BYTES, seconds: float = DOWNLOAD_SECONDS) -> bytes:
    """The content of an http(s) address.

    Raises:
        MaskRCNNError: it is no address, cannot be reached or refuses, holds more than max_bytes, or takes too long.
    """
    import http.client
    from urllib.error import HTTPError
    from urllib.request import Request

    fix = "download it and give the file"
    too_large = MaskRCNNError(f"more than the {max_bytes:,} bytes allowed", where=url, fix=fix)
    too_slow = MaskRCNNError(f"not downloaded within {seconds:g} s", where=url, fix=fix)
    deadline = time.monotonic() + seconds
    content = bytearray()
    try:
        asked = Request(_encoded(url), headers={"User-Agent": "maskrcnn"})
        with _opener().open(asked, timeout=min(20.0, seconds)) as response:
            if int(response.headers.get("Content-Length") or 0) > max_bytes:
                raise too_large
            while chunk := response.read1(2**16):
                content += chunk
                if len(content) > max_bytes:
                    raise too_large
                if time.monotonic() > deadline:
                    raise too_slow
    except HTTPError as error:
        answer = (str(error.reason).splitlines() or [""])[0][:200]
        what = f"the server answered {error.code} {answer}".rstrip()
        raise MaskRCNNError(what, where=url, fix="check the address") from error
    except TimeoutError as error:
        raise too_slow from error
    except (OSError, ValueError, EOFError, http.client.HTTPException) as error:
        what = f"cannot be reached: {getattr(error, 'reason', error)}"
        raise MaskRCNNError(what, where=url, fix="check the address and the network") from error
    return bytes(content)
