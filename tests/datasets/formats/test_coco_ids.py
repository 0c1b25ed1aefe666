import pytest

from maskrcnn.datasets.formats.coco_ids import Ids, numbered
from maskrcnn.datasets.formats.reader_checks import whole


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        (" 7.00 ", 7),
        ("007", 7),
        (-3, -3),
        ("-3", -3),
        (2**63 - 1, 2**63 - 1),
        *((other, None) for other in (7.5, "7.5", True, None, "", "x", [7], {}, 2**63, 2**70, "9" * 20, "٣")),
        *((other, None) for other in (float("nan"), float("inf"), 1e300, "1e3")),
    ],
)
def test_whole_numbers(value: object, number: int | None) -> None:
    assert whole(value) == number


def test_whole_numbers_stay_and_names_come_after_them() -> None:
    ids = Ids([5, "img", 7.0, "9", "Img", "img"])
    assert [ids.number(value) for value in (5, "5", 5.0, 7, "9", 9, "img", " img ", "Img")] == [
        5, 5, 5, 7, 9, 9, 10, 10, 11,
    ]  # fmt: skip
    assert [ids.number(value) for value in (6, "x", None, True, [5], 2**70, "9" * 30)] == [None] * 7


def test_leading_zeros_count_only_where_they_tell_ids_apart() -> None:
    one = Ids(["0001", "0002"])
    assert [one.number(value) for value in ("0001", 1, "1", "0002")] == [1, 1, 1, 2]
    both = Ids(["01", "1", "001"])
    assert len({both.number(value) for value in ("01", "1", "001")}) == 3
    assert both.number(1) == both.number("1") == 1


def test_what_cannot_be_an_id_has_none() -> None:
    ids = Ids([None, True, 2**70, "9" * 30, "", "x" * 1000, [1], {}])
    assert {ids.number(value) for value in (None, True, 1, 2**70, "9" * 30, "", "x" * 1000)} == {None}


def test_every_annotation_has_a_number() -> None:
    assert numbered([3, None, "x7", 3.0, "x7", {}, "4", 2**70]) == [3, 5, 6, 3, 6, 7, 4, 8]
    assert numbered([]) == []
