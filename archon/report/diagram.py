"""A pipeline as boxes on a page: layers from top to bottom, what runs at once side by side."""

from archon.report.page import bar, text
from archon.report.tree import Node, Rows, Tree


def diagram(tree: Tree) -> str:
    """Return the boxes as HTML; they wrap where the screen is narrow."""
    return _flow(tree, tree.layers)


def _flow(tree: Tree, layers: Rows) -> str:
    steps = (f'<div class="step">{"".join(_box(tree, n) for n in layer)}</div>' for layer in layers)
    return f'<div class="flow">{"".join(steps)}</div>'


def _box(tree: Tree, node: Node) -> str:
    model = "" if node.model is None else f" <span>{text(node.model)}</span>"
    told = [told for told in (node.settings_told, node.found_told) if told]
    lines = [*(f"<p>{text(line)}</p>" for line in told), f"<p><i>{text(node.takes_told)}</i></p>"]
    if node.asks:
        lines.append(f"<p>measured {text(tree.measured_told(node))}</p>")
    share = tree.share(node)
    if node.asks and share is not None and not node.layers:
        lines.append(bar(share))
    inner = _flow(tree, node.layers) if node.layers else ""
    return f'<div class="box"><b>{text(node.kind)}</b>{model}{"".join(lines)}{inner}</div>'
