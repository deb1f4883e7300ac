"""Vega, from the package vl-convert-python → .dvc/plots_offline.html: the page of `dvc plots` without a CDN."""

from pathlib import Path

import vl_convert

from descent.io.files import save_text

# DVC calls `vegaEmbed(element, specification)` for each plot and replaces the placeholder in the body.
SCRIPT = """
window.vegaEmbed = (element, specification) =>
  vegaEmbed(element, specification, { renderer: "svg", actions: { editor: false } });
"""
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>descent: plots</title>
<link rel="icon" href="data:,">
<style>
body { font-family: sans-serif; margin: 1.5rem; }
body > div { margin-bottom: 2rem; }
img { max-width: 90vw; height: auto; }
</style>
"""


def page() -> str:
    """Return the template: Vega, Vega-Lite and vega-embed inline, nothing that asks the network."""
    # A closing tag inside the script would end it.
    script = vl_convert.javascript_bundle(SCRIPT).replace("</script", "<\\/script")
    return f"{HEAD}<script>\n{script}\n</script>\n</head>\n<body>\n{{plot_divs}}\n</body>\n</html>\n"


if __name__ == "__main__":
    save_text(Path(".dvc/plots_offline.html"), page())
