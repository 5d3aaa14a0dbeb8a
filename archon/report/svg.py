"""Puts a stand-alone SVG drawing into a page."""

from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


def inline_svg(svg: str, prefix: str, title: str, ink: str) -> str:
    """Make a drawing part of a page: it scales, takes the text colour, and owns its ids.

    Args:
        svg: a whole SVG document.
        prefix: put before every id, so that two drawings on one page do not collide.
        title: read out in place of the drawing.
        ink: the drawing's colour that becomes the page's text colour.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg)
    for side in ("width", "height"):
        root.attrib.pop(side, None)
    root.attrib |= {"role": "img", "aria-label": title}
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif key.endswith("href"):
                element.set(key, value.replace("#", f"#{prefix}-"))
            elif key in ("style", "clip-path"):
                linked = value.replace("url(#", f"url(#{prefix}-")
                element.set(key, linked.replace(ink, "currentColor"))
    return ElementTree.tostring(root, encoding="unicode")
