"""Steps through scripts, goals, the map and the status, and through all views in other ways."""

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

from programs import write
from session import equal

VIEWS = ["program", "cartridges", "scripts", "goals", "map", "status"]


def row(name):
    return f"#script-table tr[data-name='{name}']"


def adds_a_script(page):
    write(page, "DISC 20 20 9 #6cb158\nHALT")
    page.go("scripts")
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
    page.wait(
        lambda: page.script(
            "const i = document.querySelector(arguments[0]); return i?.complete && i.naturalWidth",
            f"{row('green disc')} img",
        ),
        "its canvas",
    )
    page.shows(row("green disc"), "1 of 1")
    page.shot("scripts")
    page.wait(
        lambda: page.one(f"{row('green disc')} [data-act=switch]").text == "Disable",
        "a way to disable it",
    )
    page.click(f"{row('green disc')} [data-act=switch]")
    page.wait(lambda: page.all(f"{row('green disc')}.off"), "it to be disabled")
    equal(page.script("return document.activeElement.dataset.act"), "switch", "focus")
    page.keys(Keys.ENTER)
    page.wait(lambda: not page.all(f"{row('green disc')}.off"), "it to be enabled")


def reaches_a_goal(page):
    page.go("goals")
    page.one("#goal-form [name=goal]").send_keys("Draw a sphere", Keys.ENTER)
    page.shows("#goal-list", "Draw a sphere")
    page.click("#goal-list button")
    page.wait(lambda: "Draw a sphere" not in page.text("#goal-list"), "it to be done")
    page.click("#goals-all")
    page.wait(lambda: page.all("#goal-list .goal.done"), "those that are done")
    page.shot("goals")


def points(page):
    """With the mouse: a row is clicked, the plane dragged and zoomed, and the row is where it should be."""
    page.click("#map-fit")
    plane = page.one("#plane")
    middle = page.script(
        "const p = arguments[0]; return [p.clientWidth / 2, p.clientHeight / 2]", plane
    )
    # The plane begins 92 pixels from the left; the first script's cell of cycle 0 is 48 wide and high.
    x, y = 92 + 20 - middle[0], 48 + 36 - middle[1]

    def at(across):
        return ActionChains(page.browser, duration=20).move_to_element_with_offset(
            plane, int(x) + across, int(y)
        )

    def chosen(across):
        page.click("#map-verify")
        page.shows("#map-said", "whole")
        at(across).click().perform()
        page.wait(lambda: page.text("#map-said").startswith("Row "), "a row")
        return page.text("#row h2")

    first = chosen(0)
    if not first.endswith("run"):
        raise AssertionError(f"the row that was clicked is {first!r}")
    at(0).click_and_hold().move_by_offset(120, 0).release().perform()
    equal(chosen(120), first, "the row after the plane was dragged")
    origin = ScrollOrigin.from_element(plane, int(x) + 120, int(y))
    ActionChains(page.browser).scroll_from_origin(origin, 0, -120).perform()
    equal(chosen(120), first, "the row after zooming at it")
    page.click("#plane")


def looks_at_the_map(page):
    page.go("map")
    page.wait(lambda: page.all("#legend [data-kind=run]"), "runs on the map")
    page.click("#map-fit")
    page.click("#plane")
    page.keys(",")
    page.wait(lambda: page.text("#row h2").startswith("Row "), "the latest row")
    last = page.text("#row h2")
    page.keys(",")
    page.wait(lambda: page.text("#row h2") not in ("", last), "the row before it")
    points(page)
    page.keys(Keys.HOME)
    page.keys("+++", Keys.ARROW_RIGHT, Keys.ARROW_DOWN, "--", "0")
    page.click("#map-verify")
    page.shows("#map-said", "The chain is whole")
    page.keys(Keys.SHIFT, Keys.TAB)
    page.shot("map")


def reads_the_status(page):
    page.go("status")
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
        page.go(view)
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
        page.wait(
            lambda: page.script("return document.activeElement.id") == f"title-{view}",
            "focus on its title",
        )
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
        page.go(view)
        page.shot(f"narrow-{view}")
        wide = page.script(
            "const r = document.documentElement; return [r.scrollWidth, r.clientWidth]"
        )
        equal(wide[0], wide[1], f"width of {view}")
    page.size(1280, 800)


def names_everything(page):
    """Every control has a name for those who hear the page, and every id is there once."""
    for view in VIEWS:
        page.go(view)
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
    adds_a_script,
    reaches_a_goal,
    looks_at_the_map,
    reads_the_status,
    switches_the_theme,
    goes_by_keyboard,
    fits_a_telephone,
    names_everything,
]
