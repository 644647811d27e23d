"""Elements escape whatever they hold."""

from html.parser import HTMLParser

from nas.report.markup import element, written
from tests.nas.report.samples import HOSTILE


def test_text_and_attributes_are_escaped():
    text = written(element("p", HOSTILE, title=HOSTILE))
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))

        def handle_data(self, data):
            found.append(data)

    Reader(convert_charrefs=True).feed(text)
    assert found == [("p", {"title": HOSTILE}), HOSTILE]


def test_content_in_order():
    found = element("p", "a", element("b", "b"), "c", None, element("i"), "d", "e")
    assert written(found) == "<p>a<b>b</b>c<i></i>de</p>"


def test_attributes():
    found = element("rect", class_="x", stroke_width=2, x=1.0, y=2.25, title=None)
    assert written(found) == '<rect class="x" stroke-width="2" x="1" y="2.2"></rect>'


def test_elements_without_an_end():
    assert written(element("meta", charset="utf-8")) == '<meta charset="utf-8">'
