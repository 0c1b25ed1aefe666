"""The doctor for data sets: finds what is wrong with images and labels, and says what to do."""

from maskrcnn.data.doctor.catalogue import CHECKS, Check
from maskrcnn.data.doctor.examine import examine
from maskrcnn.data.doctor.finding import Diagnosis, Finding
from maskrcnn.data.doctor.repair import Repair, check_copy, repair

__all__ = ["CHECKS", "Check", "Diagnosis", "Finding", "Repair", "check_copy", "examine", "repair"]
