from pathlib import Path

import pytest

from maskrcnn.datasets.formats import xml_tree
from maskrcnn.datasets.formats.xml_tree import elements
from maskrcnn.errors import MaskRCNNError

LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE annotations [
  <!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<annotations><image name="&c;"/></annotations>"""
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a><image>&x;</image></a>'


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "a.xml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_wanted_elements_come_whole_and_in_order(tmp_path: Path) -> None:
    text = '\ufeff<r>\r\n<x><image n="0"/></x><image n="1"><p a="&lt;é">t</p></image><meta/><image n="2"/></r>'
    found = list(elements(write(tmp_path, text), ("image", "meta"), 1000))
    assert [(element.tag, element.get("n")) for element in found] == [
        ("image", "0"), ("image", "1"), ("meta", None), ("image", "2"),
    ]  # fmt: skip
    assert found[1][0].get("a") == "<é"
    assert found[1].findtext("p") == "t"


def test_other_encodings_are_read(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><r><image n="ü"/></r>'
    assert next(elements(write(tmp_path, text.encode("utf-16")), ("image",), 1000)).get("n") == "ü"


def test_more_than_one_chunk_is_read(tmp_path: Path) -> None:
    text = "<r>" + "".join(f'<image n="{k}">{"x" * 1000}</image>' for k in range(3000)) + "</r>"
    assert len(text) > 2**21
    numbers = [int(element.get("n", "")) for element in elements(write(tmp_path, text), ("image",), 10**7)]
    assert numbers == list(range(3000))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LAUGHS, "declares a document type"),
        (OUTSIDE, "declares a document type"),
        ("<a>" * 65 + "</a>" * 65, "64 levels"),
        ('<?xml version="1.0" encoding="uef-8"?><a/>', "unknown encoding"),
        ('<?xml version="1.0" encoding="shift-jis"?><a/>', "multi-byte"),
        ("<a><image></a>", "mismatched tag"),
        ("<a><image/>", "no element found"),
        ("", "no element found"),
        (b"\xff\xfe\x00junk", "not usable XML"),
        ("<a>" + "x" * 2000 + "</a>", "at most 1,000 bytes, found 2,007"),
    ],
)
def test_what_is_refused_is_one_error(tmp_path: Path, text: str | bytes, told: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(MaskRCNNError, match=told) as caught:
        list(elements(file, ("image",), 1000))
    assert str(file) in str(caught.value)


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match="cannot be read"):
        list(elements(tmp_path / "gone.xml", ("image",), 1000))


def test_one_element_has_a_largest_number_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_tree, "_MAX_PARTS", 10)
    small = write(tmp_path, "<a>" + f"<image>{'<b/>' * 9}</image>" * 3 + "</a>")
    assert len(list(elements(small, ("image",), 1000))) == 3
    with pytest.raises(MaskRCNNError, match="more than 10 elements"):
        list(elements(write(tmp_path, f"<image>{'<b/>' * 10}</image>"), ("image",), 1000))
