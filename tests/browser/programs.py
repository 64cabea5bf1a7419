"""Steps in which a person writes programs, runs them, and keeps them as cartridges."""

from selenium.webdriver.common.keys import Keys

from session import equal

WRONG = ".canvas 64 64\nCLS\n  REKT 4 4 8 8 #ff8000\nTXT 10 30 Hello\nHALT"
SOURCE = "return document.getElementById('source').value"


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
            if page.script(
                "const s = document.activeElement; return s.selectionStart < s.selectionEnd"
            ):
                page.keys(Keys.DELETE)
        page.keys(line)
        first = False
    equal(page.script(SOURCE), text, "the editor's text")


def pixel(page, x, y):
    return page.script(
        "return [...document.getElementById('canvas').getContext('2d')"
        ".getImageData(arguments[0], arguments[1], 1, 1).data]",
        x,
        y,
    )


def lit(page, selector="#canvas"):
    """How many pixels of a canvas are not black."""
    return page.script(
        "const c = document.querySelector(arguments[0]);"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 0; i < d.length; i += 4) n += d[i] + d[i + 1] + d[i + 2] > 0; return n",
        selector,
    )


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
    equal(page.script(SOURCE)[caret : caret + 4], "REKT", "what the caret stands before")
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
    box = page.script(
        "const b = document.getElementById('canvas').getBoundingClientRect(); return [b.width, b.height]"
    )
    equal([box[0] % 64, box[1] % 64], [0, 0], "the canvas is magnified by a whole number")
    equal(
        page.script("return getComputedStyle(document.getElementById('canvas')).imageRendering"),
        "pixelated",
        "its pixels",
    )
    page.shot("run")


def sets_options(page):
    field = page.one("#options [name=canvas_width]")
    field.send_keys("32")
    page.click("#run")
    page.wait(
        lambda: page.script("return document.getElementById('canvas').width") == 32,
        "a narrower canvas",
    )
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
    page.go("cartridges")
    page.shows("#wall .card .name", "Orange and words")
    page.shows("#wall .card", "A person")
    page.wait(
        lambda: page.script("return document.querySelector('#wall img').naturalWidth") == 128,
        "its picture",
    )
    page.click("#wall .card [aria-label='Run Orange and words']")
    page.wait(lambda: page.all("#wall .card canvas"), "its canvas")
    page.shows("#wall .card .result", "5 cycles")
    if lit(page, "#wall .card canvas") < 64:
        raise AssertionError("its canvas is black")
    page.shot("wall")


def opens_and_changes_it(page):
    kept = page.script(SOURCE)
    page.go("program")
    write(page, "HALT")
    page.go("cartridges")
    page.click("#wall .card .picture")
    page.wait(lambda: page.script(SOURCE) == kept, "its source in the editor")
    page.keys(Keys.CONTROL, "z")
    equal(page.script(SOURCE), "HALT", "undo brings the former text back")
    page.keys(Keys.CONTROL, Keys.SHIFT, "z")
    equal(page.script(SOURCE), kept, "and redo the cartridge's")
    page.keys(Keys.CONTROL, Keys.END)
    page.keys(Keys.ENTER, "; changed")
    page.click("#save-open")
    equal(
        page.script("return document.querySelector('#save-form [name=tags]').value"),
        "orange, still",
        "its tags",
    )
    page.click("#save-change")
    page.shows("#outcome", "Saved as ")
    page.open("cartridges")
    page.wait(lambda: page.all("#wall .card"), "the wall")
    equal(len(page.all("#wall .card")), 1, "cartridges")
    page.click("#wall .card .picture")
    page.wait(lambda: page.script(SOURCE).endswith("; changed"), "the change")


def deletes_a_copy(page):
    page.keys(Keys.CONTROL, "s")
    page.keys(Keys.CONTROL, "a")
    page.keys("A copy", Keys.ENTER)
    page.shows("#outcome", "Saved as a-copy")
    page.go("cartridges")
    page.wait(lambda: len(page.all("#wall .card")) == 2, "both of them")
    page.click("#wall [aria-label='Delete A copy']")
    page.keys(Keys.ESCAPE)
    equal(len(page.all("#wall .card")), 2, "cartridges, when the person was not sure")
    page.click("#wall [aria-label='Delete A copy']")
    page.keys(Keys.SHIFT, Keys.TAB)
    page.keys(Keys.ENTER)
    page.wait(lambda: len(page.all("#wall .card")) == 1, "the copy to go")
    page.go("program")


STEPS = [
    starts,
    sees_a_mistake,
    mends_it,
    runs_it,
    sets_options,
    saves_a_cartridge,
    sees_it_on_the_wall,
    opens_and_changes_it,
    deletes_a_copy,
]
