"""What can be tried on a page: a file a widget; its script and style are in book/_static/widgets.

A widget is a figure that stands still, and the numbers that a script needs to bring it to life. All
that a script computes in the browser, the package computes, too, and a test compares the two.
"""

import html
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.display import HTML

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STATIC = "../_static/widgets"


def mount(name: str, content: Mapping[str, Any], *, still: "Figure", alt: str) -> HTML:
    """A place for a widget: the figure that stands there without scripts, and its numbers.

    The script finds it by ``[data-widget="name"]``, reads the JSON in it, and puts itself in the
    place of ``.still``.

    Parameters
    ----------
    name : str
        Of the script and the style.
    content : mapping
        What JSON can hold.
    still : Figure
        What stands there without scripts, and in print.
    alt : str
        What is seen on it.
    """
    # Here, since the graph of results, which every command loads, draws nothing.
    import matplotlib.pyplot as plt

    from convexlib import figures

    numbers = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    called = html.escape(name, quote=True)
    plt.close(still)  # or a notebook would show it once more
    return HTML(
        f'<div class="widget" data-widget="{called}">'
        f'<div class="still">{figures.html(still, alt=alt)}</div>'
        f'<script type="application/json">{numbers}</script></div>'
        f'<link rel="stylesheet" href="{_STATIC}/{called}.css">'
        f'<script defer src="{_STATIC}/{called}.js"></script>'
    )
