"""Turns HTML into the words that a reader sees."""

from lxml import etree

# Elements after and before which a browser leaves a gap, so that words on either side are two words.
BLOCKS = frozenset(
    "address article aside blockquote br caption center dd details div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr legend li main nav ol optgroup option p pre section select summary table tbody td "
    "tfoot th thead tr ul video audio".split()
)
# Elements of which a browser that runs scripts shows nothing.
UNSEEN = frozenset("head link meta noscript script style template title".split())


def parse_html(html):
    """An HTML text, read as leniently as browsers do; None when there is nothing in it."""
    if not html.strip():
        return None
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True)
    return etree.fromstring(f"<html><body>{html}</body></html>".encode(), parser)


def pieces(element, instead=lambda _: None):
    """The texts below an element in order, blanks where a block begins or ends. `instead` may give others for an element."""
    if not isinstance(element.tag, str) or element.tag.lower() in UNSEEN:
        return
    others = instead(element)
    if others is not None:
        yield from others
        return
    gap = " " if element.tag.lower() in BLOCKS else ""
    yield gap
    yield element.text or ""
    for child in element:
        yield from pieces(child, instead)
        yield child.tail or ""
    yield gap


def words(texts):
    """Texts as one, all white space (no-break spaces too) made single blanks."""
    return " ".join("".join(texts).split())
