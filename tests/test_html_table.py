"""Tables and lists for notebooks: what stands in cells is shown as it is, and is never markup."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.html_table import escaped, html_lines, html_prose, html_table
from maskrcnn.text import visible


@given(st.text())
def test_any_text_comes_back_as_the_text_of_its_cell(text: str) -> None:
    table = ElementTree.fromstring(html_table([("name", "count"), (text, 3)]))
    cells = ["".join(cell.itertext()) for cell in table.iter("td")]
    assert cells == [visible(text), "3"]


def test_long_tables_and_lists_say_how_much_is_left_out() -> None:
    assert "and 2 more" in html_table([("n",), *((number,) for number in range(5))], most=3)
    assert html_lines(range(5), most=3).endswith("<li>2</li><li>and 2 more</li></ul>")
    assert html_lines([]) == ""


def test_backticks_mark_code_and_nothing_else_does() -> None:
    assert html_prose("use `a<b>` or <i>") == "use <code>a&lt;b&gt;</code> or &lt;i&gt;"
    assert escaped('"\u202e') == "&quot;\\u202e"
