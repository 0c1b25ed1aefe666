"""The doctor for data sets: finds what is wrong with images and labels, and says what to do."""

from maskrcnn.datasets.doctor.checks import CHECKS, Check
from maskrcnn.datasets.doctor.diagnosis import Diagnosis, Finding
from maskrcnn.datasets.doctor.examine import examine
from maskrcnn.datasets.doctor.repair import Repair, check_copy, repair

__all__ = ["CHECKS", "Check", "Diagnosis", "Finding", "Repair", "check_copy", "examine", "repair"]
