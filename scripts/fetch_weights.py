"""Fetch published weights into weights/, where internet is: python scripts/fetch_weights.py NAME... [--list]

Names: sit_{s,b,l,xl}_2, sit_xl_2_512, dit_xl_2, dit_xl_2_512, dit_xl_2_diffusers (each with its VAE), vae, references,
references_512, inception, dino, clip. Sizes and licences are printed before anything is fetched; what a hub cut
short goes on. Sources and checksums are kept in weights/SOURCES.json.
"""

import argparse
from pathlib import Path

from noise_search.cli.fetch import SOURCES, fetch_named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(SOURCES), metavar="NAME")
    parser.add_argument("--into", type=Path, default=Path("weights"))
    parser.add_argument("--list", action="store_true", help="print what would be fetched, and stop")
    options = parser.parse_args()
    try:
        fetch_named(options.names, options.into, options.list)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
