"""A small bar chart per meter as plain SVG. Floats are positions on paper here and nowhere money or text."""

from collections.abc import Sequence
from decimal import Decimal

WIDTH, HEIGHT = 360, 66
_BASE = HEIGHT - 2
_INK, _RULE, _LIMIT = "#4a7fb5", "#c3cad4", "#b54708"


def bar_chart(quantities: Sequence[Decimal | None], limit: Decimal | None = None) -> str | None:
    """Bars for consecutive days.

    :param quantities: per day, ≥ 0; None: no usage or no reading that day.
    :param limit: a daily allowance to draw as a dashed line.
    :returns: an SVG document of WIDTH × HEIGHT without any text, or None where there is nothing to draw.
    """
    highest = max((quantity for quantity in quantities if quantity is not None), default=Decimal(0))
    if not quantities or highest <= 0:
        return None
    top = float(max(highest, limit or Decimal(0)))
    step = WIDTH / len(quantities)
    width = max(step * 0.72, 0.4)
    shapes = []
    for number, quantity in enumerate(quantities):
        if quantity is None or quantity <= 0:
            continue
        height = max(float(quantity) / top * (_BASE - 2), 0.6)
        x, y = number * step + (step - width) / 2, _BASE - height
        shapes.append(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{_INK}"/>'
        )
    shapes.append(
        f'<line x1="0" y1="{_BASE}" x2="{WIDTH}" y2="{_BASE}" stroke="{_RULE}" stroke-width="0.8"/>'
    )
    if limit is not None and limit > 0:
        y = _BASE - float(limit) / top * (_BASE - 2)
        shapes.append(
            f'<line x1="0" y1="{y:.2f}" x2="{WIDTH}" y2="{y:.2f}" stroke="{_LIMIT}" stroke-width="0.8"'
            ' stroke-dasharray="4 3"/>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}">{"".join(shapes)}</svg>'
    )
