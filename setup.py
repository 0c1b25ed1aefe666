"""The readme of the package: README.md as it can be read alone, on PyPI.

Images and links that point into the repository lead nowhere there: images go, links become their words.
"""

import re
from pathlib import Path

from setuptools import setup

_IMAGE = re.compile(r"^!\[[^]]*\]\((?!https?:)[^)]*\)\n", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^]]*)\]\((?!https?:)[^)]*\)")

readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
setup(long_description=_LINK.sub(r"\1", _IMAGE.sub("", readme)), long_description_content_type="text/markdown")
