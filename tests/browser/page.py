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
from session import Page, browsing, served

VIEWS = ["program", "cartridges", "scripts", "goals", "map", "status"]

WRONG = ".canvas 64 64\nCLS\n  REKT 4 4 8 8 #ff8000\nTXT 10 30 Hello\nHALT"
SOURCE = "return document.getElementById('source').value"

# What the page is answered when it asks for something that cannot be done, which Chromium counts
# among the errors of the console.
EXPECTED = [("/api/pixel/assemble", 422), ("/api/pixel/run", 422), ("/api/scripts", 409)]


def equal(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, found {found!r}")


def write(page, text):
    """Replaces the editor's text by typing, without the indentation that Enter repeats."""
    page.click("#source")
    page.keys(Keys.CONTROL, "a")
    page.keys(Keys.DELETE)
    first = True
    for line in text.split("\n"):
        if not first:
            page.keys(Keys.ENTER)
            page.keys(Keys.SHIFT, Keys.HOME)
            if page.script("const s = document.activeElement; return s.selectionStart < s.selectionEnd"):
                page.keys(Keys.DELETE)
        page.keys(line)
        first = False
    equal(page.script(SOURCE), text, "the editor's text")


def pixel(page, x, y):
    return page.script(
        "return [...document.getElementById('canvas').getContext('2d')"
        ".getImageData(arguments[0], arguments[1], 1, 1).data]", x, y)


def lit(page, selector="#canvas"):
    """How many pixels of a canvas are not black."""
    return page.script(
        "const c = document.querySelector(arguments[0]);"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 0; i < d.length; i += 4) n += d[i] + d[i + 1] + d[i + 2] > 0; return n", selector)


def go(page, view):
    page.click(f"nav a[href='#{view}']")
    page.wait(lambda: page.one(f"#view-{view}").is_displayed(), f"the view {view}")


def row(name):
    return f"#script-table tr[data-name='{name}']"


def starts(page):
    page.open()
    equal(page.browser.title, "Program · gvpie", "title")
    page.wait(lambda: page.one("#link").get_attribute("data-state") == "live", "events")
    page.shows("#verdict", "instructions, canvas 128 × 64")
    page.keys(Keys.CONTROL, Keys.ENTER)
    page.shows("#outcome", "cycles in")
    page.shot("first")


def sees_a_mistake(page):
    write(page, WRONG)
    page.shows("#verdict", "1 error.")
    equal(page.text("#faults .place"), "3:3", "place of the error")
    if "REKT" not in page.text("#faults"):
        raise AssertionError(f"the error does not name the operation: {page.text('#faults')}")
    equal(page.text("#faults .help") != "", True, "a remedy is offered")
    equal(page.text(".gutter .wrong"), "3", "the marked number")
    equal(page.text(".ink .mark"), "REKT", "the marked word")
    equal(page.one("#source").get_attribute("aria-invalid"), "true", "the field is called invalid")
    page.keys(Keys.CONTROL, Keys.ENTER)
    page.shows("#outcome", "It does not assemble: 1 error.")
    page.shot("error")


def mends_it(page):
    """From the list of errors with the keyboard alone."""
    page.keys(Keys.TAB)
    page.keys(Keys.ENTER)
    equal(page.script("return document.activeElement.id"), "source", "focus")
    caret = page.script("return document.activeElement.selectionStart")
    equal(page.script(SOURCE)[caret:caret + 4], "REKT", "what the caret stands before")
    page.keys(Keys.DELETE * 4)
    page.keys("RECT")
    page.shows("#verdict", "5 instructions, canvas 64 × 64")
    equal(page.all("#faults li"), [], "errors")
    equal(page.all(".ink .wrong, .gutter .wrong"), [], "marks")


def runs_it(page):
    page.keys(Keys.CONTROL, Keys.ENTER)
    page.shows("#outcome", "5 cycles in")
    equal(pixel(page, 4, 4), [255, 128, 0, 255], "a pixel of the rectangle")
    equal(pixel(page, 11, 11), [255, 128, 0, 255], "its last pixel")
    equal(pixel(page, 12, 12), [0, 0, 0, 255], "a pixel beside it")
    letters = lit(page) - 64
    if not 30 < letters < 150:
        raise AssertionError(f"{letters} pixels of letters are lit")
    box = page.script("const b = document.getElementById('canvas').getBoundingClientRect(); return [b.width, b.height]")
    equal([box[0] % 64, box[1] % 64], [0, 0], "the canvas is magnified by a whole number")
    equal(page.script("return getComputedStyle(document.getElementById('canvas')).imageRendering"), "pixelated", "its pixels")
    page.shot("run")


def sets_options(page):
    field = page.one("#options [name=canvas_width]")
    field.send_keys("32")
    page.click("#run")
    page.wait(lambda: page.script("return document.getElementById('canvas').width") == 32, "a narrower canvas")
    field.clear()
    cycles = page.one("#options [name=max_cycles]")
    cycles.clear()
    cycles.send_keys("2")
    page.click("#run")
    page.shows("#outcome", "out of cycles")
    cycles.clear()
    cycles.send_keys("1000000")
    page.click("#run")
    page.shows("#outcome", "5 cycles in")


def saves_a_cartridge(page):
    page.click("#save-open")
    page.keys("Orange and words")
    page.one("#save-form [name=author]").send_keys("A person")
    page.one("#save-form [name=tags]").send_keys("orange, still", Keys.ENTER)
    page.shows("#outcome", "Saved as ")
    page.shows("#opened", "from ")


def sees_it_on_the_wall(page):
    go(page, "cartridges")
    page.shows("#wall .card .name", "Orange and words")
    page.shows("#wall .card", "A person")
    page.wait(lambda: page.script("return document.querySelector('#wall img').naturalWidth") == 128, "its picture")
    page.click("#wall .card .actions button:last-child")
    page.wait(lambda: page.all("#wall .card canvas"), "its canvas")
    page.shows("#wall .card .result", "5 cycles")
    if lit(page, "#wall .card canvas") < 64:
        raise AssertionError("its canvas is black")
    page.shot("wall")


def opens_and_changes_it(page):
    kept = page.script(SOURCE)
    go(page, "program")
    write(page, "HALT")
    go(page, "cartridges")
    page.click("#wall .card .picture")
    page.wait(lambda: page.script(SOURCE) == kept, "its source in the editor")
    page.keys(Keys.CONTROL, "z")
    equal(page.script(SOURCE), "HALT", "undo brings the former text back")
    page.keys(Keys.CONTROL, Keys.SHIFT, "z")
    equal(page.script(SOURCE), kept, "and redo the cartridge's")
    page.keys(Keys.CONTROL, Keys.END)
    page.keys(Keys.ENTER, "; changed")
    page.click("#save-open")
    equal(page.script("return document.querySelector('#save-form [name=tags]').value"), "orange, still", "its tags")
    page.click("#save-change")
    page.shows("#outcome", "Saved as ")
    page.open("cartridges")
    page.wait(lambda: page.all("#wall .card"), "the wall")
    equal(len(page.all("#wall .card")), 1, "cartridges")
    page.click("#wall .card .picture")
    page.wait(lambda: page.script(SOURCE).endswith("; changed"), "the change")


def adds_a_script(page):
    write(page, "DISC 20 20 9 #6cb158\nHALT")
    go(page, "scripts")
    for attempt in range(2):
        page.click("#script-open")
        page.keys("green disc")
        page.one("#script-form [name=purpose]").send_keys("To be looked at")
        page.click("#script-take")
        page.click("#script-form [type=submit]")
        if attempt == 0:
            page.wait(lambda: page.all(row("green disc")), "the script")
    page.wait(lambda: page.text("#script-form .form-error"), "that there is one of this name")
    page.click("#script-close")
    page.shows(row("green disc"), "never run")
    page.click(f"{row('green disc')} [data-act=run]")
    page.wait(lambda: page.all(f"{row('green disc')} .badge.ok"), "its result")
    page.wait(lambda: page.script(
        "const i = document.querySelector(arguments[0]); return i?.complete && i.naturalWidth",
        f"{row('green disc')} img"), "its canvas")
    page.shows(row("green disc"), "1 of 1")
    page.shot("scripts")
    page.wait(lambda: page.one(f"{row('green disc')} [data-act=switch]").text == "Disable", "a way to disable it")
    page.click(f"{row('green disc')} [data-act=switch]")
    page.wait(lambda: page.all(f"{row('green disc')}.off"), "it to be disabled")
    equal(page.script("return document.activeElement.dataset.act"), "switch", "focus")
    page.keys(Keys.ENTER)
    page.wait(lambda: not page.all(f"{row('green disc')}.off"), "it to be enabled")


def reaches_a_goal(page):
    go(page, "goals")
    page.one("#goal-form [name=goal]").send_keys("Draw a sphere", Keys.ENTER)
    page.shows("#goal-list", "Draw a sphere")
    page.click("#goal-list button")
    page.wait(lambda: "Draw a sphere" not in page.text("#goal-list"), "it to be done")
    page.click("#goals-all")
    page.wait(lambda: page.all("#goal-list .goal.done"), "those that are done")
    page.shot("goals")


def looks_at_the_map(page):
    go(page, "map")
    page.wait(lambda: page.all("#legend [data-kind=run]"), "runs on the map")
    page.click("#map-fit")
    page.click("#plane")
    page.keys(",")
    page.wait(lambda: page.text("#row h2").startswith("Row "), "the latest row")
    last = page.text("#row h2")
    page.keys(",")
    page.wait(lambda: page.text("#row h2") not in ("", last), "the row before it")
    page.keys(Keys.HOME)
    page.keys("+++", Keys.ARROW_RIGHT, Keys.ARROW_DOWN, "--", "0")
    page.click("#map-verify")
    page.shows("#map-said", "The chain is whole")
    page.keys(Keys.SHIFT, Keys.TAB)
    page.shot("map")


def reads_the_status(page):
    go(page, "status")
    for words in ["gvpie 0.", "Queue", "0 of 256", "has room"]:
        page.shows("#status-list", words)
    # What happened in this session is in the feed.
    page.shows("#feed", "run")
    page.shot("status")


def switches_the_theme(page):
    ground = "return getComputedStyle(document.documentElement).backgroundColor"
    page.prefers("light")
    light = page.script(ground)
    page.click("#theme")
    dark = page.script(ground)
    if light == dark:
        raise AssertionError(f"the ground is {light} in both themes")
    page.open("status")
    equal(page.script(ground), dark, "the theme after loading the page again")
    for view in VIEWS:
        go(page, view)
        page.shot(f"dark-{view}")
    page.click("#theme")
    equal(page.script(ground), light, "the system's theme")
    page.prefers("dark")
    equal(page.script(ground), dark, "the system's other theme")
    page.prefers("light")


def goes_by_keyboard(page):
    page.open()
    page.script("document.activeElement.blur()")
    page.one("body").send_keys(Keys.TAB)
    equal(page.script("return document.activeElement.className"), "skip", "what Tab comes to first")
    page.keys(Keys.TAB)
    way = [Keys.TAB]
    for view in [*VIEWS[1:], VIEWS[0]]:
        for _ in range(12):
            if page.script("return document.activeElement.hash") == f"#{view}":
                break
            page.keys(*way)
        way = [Keys.SHIFT, Keys.TAB]  # from the view's title back to the links
        equal(page.script("return document.activeElement.hash"), f"#{view}", "what Tab comes to")
        outline = page.script("return getComputedStyle(document.activeElement).outlineStyle")
        equal(outline, "solid", "the focus is to be seen")
        page.keys(Keys.ENTER)
        page.wait(lambda: page.one(f"#view-{view}").is_displayed(), f"the view {view}")
        page.wait(lambda: page.script("return document.activeElement.id") == f"title-{view}", "focus on its title")
        current = page.script("return document.querySelector('nav [aria-current]').hash")
        equal(current, f"#{view}", "the current view")
    # Tab gets out of the editor again.
    page.click("#source")
    page.keys(Keys.TAB)
    if page.script("return document.activeElement.id") == "source":
        raise AssertionError("Tab stays in the editor")
    page.open()
    page.script("document.activeElement.blur()")
    page.one("body").send_keys(Keys.TAB)
    page.keys(Keys.ENTER)
    equal(page.script("return document.activeElement.id"), "main", "where the first link leads")


def fits_a_telephone(page):
    page.size(360, 740)
    for view in VIEWS:
        go(page, view)
        page.shot(f"narrow-{view}")
        wide = page.script("const r = document.documentElement; return [r.scrollWidth, r.clientWidth]")
        equal(wide[0], wide[1], f"width of {view}")
    page.size(1280, 800)


def names_everything(page):
    """Every control has a name for those who hear the page, and every id is there once."""
    for view in VIEWS:
        go(page, view)
        nameless = page.script("""
            const seen = [...document.querySelectorAll('button, input, select, textarea, a, img, canvas')];
            return seen.filter((one) => one.checkVisibility() && !(
                one.ariaLabel || one.textContent.trim() || one.labels?.length || one.hasAttribute('alt')
            )).map((one) => one.outerHTML.slice(0, 80))""")
        equal(nameless, [], f"controls without a name in {view}")
    twice = page.script("""
        const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
        return ids.filter((id, at) => ids.indexOf(id) !== at)""")
    equal(twice, [], "ids that are there twice")


STEPS = [
    starts, sees_a_mistake, mends_it, runs_it, sets_options, saves_a_cartridge, sees_it_on_the_wall,
    opens_and_changes_it, adds_a_script, reaches_a_goal, looks_at_the_map, reads_the_status,
    switches_the_theme, goes_by_keyboard, fits_a_telephone, names_everything,
]


def complains(page, allowed):
    """Fails where the console has errors, or something left for another host."""
    def is_expected(entry):
        return entry["source"] == "network" and any(
            path in entry["message"] and f"status of {status}" in entry["message"] for path, status in allowed)
    errors = [entry["message"] for entry in page.collect() if not is_expected(entry)]
    equal(errors, [], "errors on the console")
    outside = [url for url in page.requests if urlsplit(url).scheme in ("http", "https", "ws", "wss") and not url.startswith(page.url)]
    equal(outside, [], "requests to elsewhere")


def comes_back(page, gvpie, data):
    """The server ends and starts again; the page waits, and goes on by itself."""
    page.wait(lambda: page.one("#link").get_attribute("data-state") == "lost", "the loss to be told")
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
        page.wait(lambda: page.one("#token-dialog").is_displayed() and page.one("#token-dialog input").get_attribute("value") == "", "the question again")
        page.keys("let me in", Keys.ENTER)
        page.wait(lambda: page.all("#wall .card"), "the wall")
        page.wait(lambda: page.script("return document.querySelector('#wall img').naturalWidth") == 128, "a picture")
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
