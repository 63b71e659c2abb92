"""How Sphinx builds the site. It is built from a copy of these pages (``docs/__main__.py``)."""

from importlib.metadata import version as version_of

project = "Meterhouse"
version = release = version_of("meterhouse")
language = "en"
# Options stay as they are typed: --expect.
smartquotes = False
extensions = ["myst_parser"]
# Headings are link targets, down to the ids of decisions.
myst_heading_anchors = 4
html_theme = "furo"
html_title = "Meterhouse"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]
# Examples begin with a comment that names their file, which JSON does not know; CSV has no colours.
suppress_warnings = ["misc.highlighting_failure"]
