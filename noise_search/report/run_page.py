"""report.html: what search bought in one run: images and curves under a slider, banks, shelves, the cost."""

import html
from pathlib import Path

from noise_search.report.html import folded, section, slider, write_page
from noise_search.report.pictures import Pictures
from noise_search.report.run_content import RunPage
from noise_search.report.run_images import banks, growing, note_without_script, shelf_section, told_image
from noise_search.report.run_numbers import category_table, costs, curves, figure_file, values
from noise_search.report.run_summary import summary

ROWS = 10  # of the table for those without a script


def write_report(path: Path, page: RunPage) -> None:
    pictures = Pictures()
    images = page.images()
    numbers = [[pictures.add(row["png"]) for row in rows] for rows in images]
    shelves = [[pictures.add(page.shelved[item.image]) for item in shelf.items] for shelf in page.shelves]
    uris = pictures.uris()
    inline = {n for row in numbers[:ROWS] for n in row} | {n for row in shelves for n in row}
    named = set[int]()  # numbers of pictures that the script finds by their id
    parts = [
        summary(page),
        slider([float(nfe) for nfe in page.nfe]),
        section("Images", '<div class="shelf" id="images" hidden></div>' + note_without_script(page)),
        section("Curves", curves(page)),
        section("The same conditions at growing budgets", growing(page, images[:ROWS], numbers, uris, named), GROWING),
        *(shelf_section(shelf, own, uris, named) for shelf, own in zip(page.shelves, shelves, strict=True)),
        section("Between verifiers", "".join(figure_file(path) for path in page.pictures)),
        section("Values", values(page)),
        category_table(page.categories),
        section("What it cost", costs(page)),
        section("Plan", f'<pre tabindex="0">{html.escape(page.plan)}</pre>'),
        section("Settings", folded("config.yaml", f'<pre tabindex="0">{html.escape(page.settings)}</pre>')),
        DIALOG,
    ]
    data = {
        "keys": list(range(len(page.nfe))),
        "told": [f"{nfe:,} NFE an image" for nfe in page.nfe],
        "uris": [None if n in inline else uri for n, uri in enumerate(uris)],
        "images": [told_image(page, rows, chosen) for rows, chosen in zip(images, numbers, strict=True)],
        "columns": list(page.columns),
        "banks": banks(page),
    }
    write_page(path, page.title, "\n".join(parts), data, pictures.width > 96)


GROWING = (
    "Each row starts from one noise; each column spends more on searching for a better one. A picture stands from the"
    " budget at which it was first chosen until a better one is found. Below it: its final verifier score."
)
DIALOG = (
    '<dialog id="bank" aria-labelledby="bank-title"><div class="head"><h2 id="bank-title"></h2>'
    '<button type="button" id="close">Close</button></div><div id="bank-body"></div></dialog>'
)
