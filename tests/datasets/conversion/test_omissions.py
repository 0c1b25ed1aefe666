from maskrcnn.datasets.conversion.omissions import Omissions


def test_one_line_a_kind_with_counts() -> None:
    losses = Omissions("YOLO-seg")
    losses.add("crowd", 3)
    losses.add("covered", 2, pixels=1500)
    losses.add("covered", 1, pixels=4)
    losses.add("box-only", 0)
    crowd, covered = losses.problems("new")
    assert str(crowd) == (
        "new: dropped, crowd regions left out: 3, YOLO-seg has no mark for them (use coco to keep them)"
    )
    assert (crowd.check, crowd.objects_lost, crowd.severity) == ("convert-crowd", 3, "warning")
    assert "ones over them: 3 (1,504 pixels), in YOLO-seg" in str(covered)
    assert (covered.objects_lost, covered.severity) == (0, "note")


def test_nothing_lost_is_no_line() -> None:
    assert Omissions("COCO").problems("new") == []
