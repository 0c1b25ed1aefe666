"""The catalogue of checks: a stable id, the severity, what it means, how to fix it, and whether `repair` can.

Readers report by the same ids what they cannot use; every id that appears anywhere is listed here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from maskrcnn.annotations.problem import Problem, Severity

TINY_IMAGE = 32  # pixels; the coarsest feature map of such an image has one cell
NARROW_RANGE = 1 / 8  # of the 65,536 values of 16 bits
FEW_OBJECTS = 10  # a class with fewer is hardly learned
LONG_OBJECT = 20  # longer side over shorter side


class Check(NamedTuple):
    """One kind of problem.

    Attributes:
        id: stable, for scripts.
        severity: error, if something is lost or training goes wrong; warning, if it may; note, otherwise.
        about: what it means.
        fix: what the user can do about it.
        fixable: whether a corrected copy can be written without guessing.
    """

    id: str
    severity: Severity
    about: str
    fix: str
    fixable: bool = False


# fmt: off
_CATALOGUE = [
    # Files and images.
    Check("unfinished", "error", "the run that wrote the data set was stopped: images and labels are missing",
          "run it again with the same folder, or delete the folder"),
    Check("unreadable-split", "error", "the labels of one split cannot be read", "correct the file"),
    Check("no-images", "error", "a split has no image", "add images"),
    Check("missing-image", "error", "the labels name an image that is not there", "add it or remove its labels", True),
    Check("missing-mask", "error", "an image has no mask file", "add the mask, an empty one if there is no object"),
    Check("several-masks", "warning", "several mask files fit one image", "keep one"),
    Check("unlabelled-image", "note", "images have no label file", "label them if they show objects"),
    Check("unreadable-image", "error", "an image is empty, truncated or no image", "copy or download it again", True),
    Check("unreadable-labels", "error", "the labels of one image cannot be read", "export them again"),
    Check("size-mismatch", "error", "image and labels differ in size", "scale the image or its labels"),
    Check("exif-rotation", "error", "the labels were made for the image before its EXIF orientation turns it",
          "remove the EXIF orientation from the file, or turn the labels", True),
    Check("exif-unclear", "note", "EXIF orientation keeps the image's shape: the labels may be for the image as stored",
          "look at this image with its masks"),
    Check("blank-image", "warning", "all pixels are nearly alike", "check the file, or remove it"),
    Check("tiny-image", "warning", f"an edge is shorter than {TINY_IMAGE} pixels", "use larger images"),
    Check("narrow-range", "warning", f"16-bit values span less than {NARROW_RANGE:.1%} of the range",
          "scale all images by one factor if brightness matters: each is stretched by itself"),
    Check("channel-count", "warning", "an image has neither 1 nor 3 channels", "export it as RGB or grey"),
    Check("mixed-colour", "note", "grey images among coloured ones", "nothing: grey is read as RGB"),
    Check("several-frames", "warning", "a file has several frames or pages", "extract the others into files"),
    Check("size-spread", "note", "image sizes are far apart", "check that objects look alike at the input size"),
    Check("left-out", "note", "files beside the images are of no kind that is read", "convert those that are images"),
    Check("unlisted-image", "note", "an image file lies beside the others and no label names it", "label or remove it"),
    # The same picture again.
    Check("duplicate-image", "warning", "two files of one split are the same", "keep one", True),
    Check("similar-image", "note", "images of one split show nearly the same picture", "count them as one in results"),
    Check("leak", "error", "one file is in two splits", "remove it from the training split", True),
    Check("similar-leak", "warning", "two splits show nearly the same picture: an edited copy, or the next video frame",
          "keep such images in one split: maskrcnn dataset split does"),
    # Label files.
    Check("bad-file", "error", "a label file is broken", "export it again"),
    Check("bad-size", "error", "the labels claim an image too large to read", "correct the size"),
    Check("unreadable-mask", "error", "the mask file of an object cannot be read", "export it again"),
    Check("copy-differs", "warning", "the copy in the label file is used: the image has another size or is unreadable",
          "label the file itself again"),
    Check("embedded-image", "note", "images are read from the label files, which hold copies of them",
          "maskrcnn dataset convert writes them out"),
    Check("background-shape", "note", "shapes that mark the background are no objects", "nothing"),
    Check("track", "warning", "tracks of a video are left out", "export them as single images"),
    Check("label-without-area", "note", "labels of skeletons, points, lines or whole images are no classes", "nothing"),
    Check("image-tag", "note", "tags of whole images are no objects and are left out", "nothing"),
    Check("not-normalised", "error", "coordinates are no fractions", "divide x by the image's width, y by its height"),
    Check("bad-entry", "error", "an entry of the label file is invalid", "correct or remove it"),
    Check("duplicate-image-id", "error", "two images have the same id", "give each image its own id"),
    Check("unknown-image", "error", "an annotation belongs to no image", "correct image_id or remove it", True),
    Check("duplicate-id", "warning", "two annotations have the same id", "give each its own id", True),
    Check("id-gaps", "note", "a few numbers are missing among the ids", "nothing, if objects were deleted on purpose"),
    Check("unknown-category", "error", "an annotation has a class that is not listed", "correct or add the class"),
    Check("category-offset", "error", "all class ids are off by one",
          "add the offset to every category_id, or number the categories like the annotations"),
    Check("bad-category", "error", "a class is listed without an id or a name of its own", "correct the entry"),
    Check("reserved-name", "note", "a name that labelme keeps for background or regions to ignore", "nothing"),
    Check("root-category", "note", "a category is only the supercategory of others, and no class", "nothing"),
    Check("no-class-names", "warning", "no file names the classes in class maps",
          "write class_names.txt: a name a line in the order of the numbers, the first _background_"),
    Check("class-unsaid", "warning", "several classes are listed, and nothing says which object is which", "add them"),
    Check("names-of-boxes", "note", "no file names the classes in class maps: the names of the boxes are used",
          "write class_names.txt"),
    Check("duplicate-category", "warning", "two classes have one name", "rename them if they are not the same"),
    Check("class-count", "warning", "nc is not the number of the class names", "correct nc or the names"),
    Check("class-names-alike", "warning", "names of two classes differ in case or spaces alone", "use one name"),
    Check("class-order", "error", "splits list the same classes in different orders", "use one list of classes"),
    Check("class-shift", "warning", "class frequencies of two splits agree only if shifted by one id", "compare both"),
    Check("pose-data", "note", "a line is a box with keypoints, the box is read", "add outlines if you have them"),
    Check("no-mask", "note", "objects have a box and no mask", "add masks if you have them"),
    Check("no-shape", "error", "an annotation has neither a mask nor a box", "draw or remove it", True),
    Check("bad-box", "error", "a box is not four numbers", "correct it"),
    Check("bad-segmentation", "error", "a polygon or run lengths are malformed", "correct or remove it"),
    Check("rle-size", "error", "run lengths were written for another size", "write them again at the image's size"),
    Check("normalised-coordinates", "error", "all coordinates lie in 0..1", "multiply x by the width, y by the height"),
    Check("no-georeference", "error", "labels are in map coordinates, the image has none",
          "use the GeoTIFF, or write the labels in pixels"),
    Check("other-coordinates", "error", "labels are in other coordinates than their image", "reproject the labels"),
    Check("no-area", "note", "points or lines mark objects, which have no area", "draw polygons instead"),
    # Shapes.
    Check("zero-area", "error", "an object has no area", "correct or remove it", True),
    Check("outside-image", "error", "an object lies outside its image", "correct or remove it", True),
    Check("empty-mask", "error", "a mask covers no pixel", "correct or remove it", True),
    Check("masks-too-large", "error", "the masks of an image do not fit into memory", "cut the image into tiles"),
    Check("partly-outside", "warning", "an object reaches beyond its image", "clip it to the image", True),
    Check("degenerate-polygon", "warning", "a polygon is a point or a line", "draw it again"),
    Check("self-intersection", "warning", "an outline crosses itself: part of the object is left out", "draw it again"),
    Check("box-mask-disagree", "warning", "a box does not enclose its mask", "take the box of the mask", True),
    Check("xyxy-box", "error", "a box is written as x1, y1, x2, y2 where x, y, width, height is expected",
          "write [x1, y1, x2 - x1, y2 - y1]", True),
    Check("area-disagree", "warning", "the area as written is not the mask's", "take the area of the mask", True),
    Check("mask-is-box", "note", "a mask fills its box", "check that the object is a rectangle"),
    Check("masks-are-boxes", "warning", "many masks fill their boxes", "draw outlines, or leave the masks out"),
    Check("whole-image-mask", "warning", "a mask covers nearly the whole image", "check that this is an object"),
    Check("long-object", "note", f"an object is more than {LONG_OBJECT} times as long as wide", "check its outline"),
    Check("parts-apart", "warning", "pieces far apart have one id", "give each object its own id"),
    Check("ids-not-separate", "error", "masks mark object and background alone", "give each object its own id"),
    Check("duplicate-object", "warning", "two annotations mark the same object", "keep one", True),
    Check("conflicting-labels", "warning", "two annotations give one object two classes", "decide on one class"),
    # What can be learned.
    Check("no-objects", "error", "a split has no object", "add annotations"),
    Check("unannotated-image", "warning", "an image has no object", "label it, unless it shows none"),
    Check("class-without-examples", "warning", "a class has no object", "add examples or remove the class"),
    Check("class-too-rare", "warning", f"a class has fewer than {FEW_OBJECTS} objects to learn from", "add examples"),
    Check("class-only-in-val", "warning", "a class cannot be learned: only the validation split has it", "split again"),
    Check("class-only-in-train", "note", "a class is not measured: the validation split has none", "split again"),
    Check("no-validation", "note", "there is no validation split", "split the data: maskrcnn dataset split"),
    Check("smaller-than-stride", "warning", "an object is smaller than a cell of the finest feature map",
          "use larger images, a larger input size or tiles"),
    Check("crowded-image", "warning", "an image has more objects than the model returns", "raise max_detections"),
]
# fmt: on

CHECKS: dict[str, Check] = {check.id: check for check in _CATALOGUE}


def problem_of(check: str, file: str | Path, what: str, annotation: int | None = None, split: str = "") -> Problem:
    """A problem of a check in the catalogue."""
    entry = CHECKS[check]
    return Problem(
        check, str(file), what, entry.fix, entry.severity, annotation=annotation, split=split, fixable=entry.fixable
    )


def catalogued(problem: Problem) -> Problem:
    """A reader's problem with the severity of the catalogue, and its fix where the reader knows none."""
    entry = CHECKS.get(problem.check)
    if entry is None:
        return problem
    return replace(problem, severity=entry.severity, fix=problem.fix or entry.fix, fixable=entry.fixable)
