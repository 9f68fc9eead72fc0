"""The picture of the README: the page of a running gateway, in the tests' browser.

python tests/screenshot.py http://127.0.0.1:8000/ [docs/page.png] [--theme light] [--size 1280x800] [--after 20]
    [--user operator], whose password is in the environment variable PAGE_PASSWORD

``--after``: seconds the page watches the machine first, so that there is a path to see. Exit code 1 and one line when there is
no browser or no live machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

FLAGS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("file", nargs="?", default="docs/page.png", type=Path)
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--size", default="1440x900")
    parser.add_argument("--after", type=float, default=20.0)
    parser.add_argument("--user", help="log in as this user")
    parser.add_argument("--whole", action="store_true", help="the whole page, not only what the window shows")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    if not Path(CHROMIUM).exists():
        print("no chromium: install the Debian package chromium", file=sys.stderr)
        return 1
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=given.theme)
        try:
            page.goto(given.url)
            page.wait_for_selector("body:not(.lost)", timeout=30_000)
            if given.user:
                page.click("#login")
                page.fill("input[name=user]", given.user)
                page.fill("input[name=password]", os.environ.get("PAGE_PASSWORD", ""))
                page.click("#login-form button[type=submit]")
                page.wait_for_selector("#login-dialog", state="hidden")
            page.wait_for_timeout(given.after * 1000)
            page.screenshot(path=given.file, full_page=given.whole)
        except Error as error:
            print(f"no picture of {given.url}: {error.message.splitlines()[0]}", file=sys.stderr)
            return 1
        finally:
            browser.close()
    print(given.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
