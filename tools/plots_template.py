"""Vega, tools/plots.*, params.yaml → .dvc/plots_offline.html, the page of `dvc plots`, and its templates."""

import json
from pathlib import Path

import vl_convert

from descent.io.files import save_text
from descent.io.layout import PARAMS
from descent.io.params import load_params
from descent.report.colours import RUN_COLOURS, TOKENS, run_colours
from descent.report.markup import TEMPLATES

PARTS = Path(__file__).parent


def page() -> str:
    """Return the page: Vega, Vega-Lite and vega-embed inline, nothing that asks the network."""
    runs = {run: TOKENS[colour] for run, colour in run_colours(load_params(PARAMS).train).items()}
    others = [*(TOKENS[colour] for colour in RUN_COLOURS[2:]), "teal", "olive", *(TOKENS[c] for c in RUN_COLOURS[:2])]
    words = f"const RUNS = {json.dumps(runs)};\nconst OTHERS = {json.dumps(others)};\n"
    # A closing tag inside the script would end it.
    script = vl_convert.javascript_bundle(words + (PARTS / "plots.js").read_text()).replace("</script", "<\\/script")
    css = (TEMPLATES / "report.css").read_text() + (PARTS / "plots.css").read_text()
    return (PARTS / "plots.html").read_text().replace("CSS", css, 1).replace("JS", script, 1)


if __name__ == "__main__":
    save_text(Path(".dvc/plots_offline.html"), page())
