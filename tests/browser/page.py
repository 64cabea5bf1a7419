#!/usr/bin/env python3
"""The page of `gvpie serve`, as a person uses it, in headless Chromium.

    tests/browser/page.py --gvpie target/debug/gvpie [--screenshots FOLDER]

needs Debian's chromium, chromium-driver and python3-selenium. Prints a line for each step; status 0,
or 1 with what was seen instead.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from urllib.parse import urlsplit

from selenium.webdriver.common.keys import Keys

sys.dont_write_bytecode = True  # nothing is left beside the sources
import programs
import views
from session import Page, browsing, equal, served

STEPS = [*programs.STEPS, *views.STEPS]

# What the page is answered when it asks for something that cannot be done, which Chromium counts
# among the errors of the console.
EXPECTED = [("/api/pixel/assemble", 422), ("/api/pixel/run", 422), ("/api/scripts", 409)]


def complains(page, allowed):
    """Fails where the console has errors, or something left for another host."""

    def is_expected(entry):
        return entry["source"] == "network" and any(
            path in entry["message"] and f"status of {status}" in entry["message"]
            for path, status in allowed
        )

    errors = [entry["message"] for entry in page.collect() if not is_expected(entry)]
    equal(errors, [], "errors on the console")
    outside = [
        url
        for url in page.requests
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and not url.startswith(page.url)
    ]
    equal(outside, [], "requests to elsewhere")


def comes_back(page, gvpie, data):
    """The server ends and starts again; the page waits, and goes on by itself."""
    page.wait(
        lambda: page.one("#link").get_attribute("data-state") == "lost", "the loss to be told"
    )
    with served(gvpie, data, addr=urlsplit(page.url).netloc) as url:
        equal(url, page.url, "the address")
        page.wait(lambda: page.one("#link").get_attribute("data-state") == "live", "events again")


def asks_for_the_token(browser, gvpie, data, screenshots):
    with served(gvpie, data, token="let me in") as url:
        page = Page(browser, url, screenshots)
        page.open("cartridges")
        page.wait(lambda: page.one("#token-dialog").is_displayed(), "the question")
        page.shot("token")
        page.keys("wrong", Keys.ENTER)
        page.wait(
            lambda: page.one("#token-dialog").is_displayed()
            and page.one("#token-dialog input").get_attribute("value") == "",
            "the question again",
        )
        page.keys("let me in", Keys.ENTER)
        page.wait(lambda: page.all("#wall .card"), "the wall")
        page.wait(
            lambda: page.script("return document.querySelector('#wall img').naturalWidth") == 128,
            "a picture",
        )
        page.wait(lambda: page.one("#link").get_attribute("data-state") == "live", "events")
        page.browser.refresh()
        page.wait(lambda: page.all("#wall .card"), "the wall without a question")
        equal(page.one("#token-dialog").is_displayed(), False, "a question")
        complains(page, [("", 401), *EXPECTED])


def told(name, began):
    print(f"ok  {name.replace('_', ' ')} ({time.monotonic() - began:.1f} s)", flush=True)


def test(options, folder):
    data = folder / "data"
    with browsing(options.chromium, options.driver) as browser:
        with served(options.gvpie, data) as url:
            page = Page(browser, url, options.screenshots)
            page.size(1280, 800)
            page.prefers("light")
            for step in STEPS:
                began = time.monotonic()
                try:
                    step(page)
                    complains(page, EXPECTED)
                except Exception:
                    print(f"FAILED  {step.__name__.replace('_', ' ')}", flush=True)
                    page.shot("failed")
                    raise
                told(step.__name__, began)
        began = time.monotonic()
        comes_back(page, options.gvpie, data)
        told("comes_back", began)
        page.collect()  # what it could not reach meanwhile
        began = time.monotonic()
        asks_for_the_token(browser, options.gvpie, data, options.screenshots)
        told("asks_for_the_token", began)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gvpie", default="target/debug/gvpie", help="the program")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser")
    parser.add_argument("--driver", default=shutil.which("chromedriver"), help="its driver")
    parser.add_argument("--screenshots", type=Path, help="a folder for pictures of the page")
    options = parser.parse_args()
    for name in ["chromium", "driver"]:
        if not getattr(options, name):
            parser.error(f"--{name}: not found")
    with tempfile.TemporaryDirectory(prefix="gvpie-page-") as folder:
        try:
            test(options, Path(folder))
        except Exception:
            traceback.print_exc()
            log = Path(folder) / "serve.log"
            print(log.read_text(errors="replace")[-4000:] if log.exists() else "", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
