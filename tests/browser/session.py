"""A server of its own, and a headless Chromium that looks at it; both end with the test."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

PATIENCE = 20  # seconds; what is waited for comes in milliseconds where nothing else runs

# The driver is on this machine; a proxy that the environment names must not stand before it.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


@contextlib.contextmanager
def served(gvpie, data, addr="127.0.0.1:0", token=None):
    """Serves a folder; gives the address that the server has told."""
    environment = {name: value for name, value in os.environ.items() if name != "GVPIE_TOKEN"}
    if token:
        environment["GVPIE_TOKEN"] = token
    command = [gvpie, "serve", "--json", "--backend", "cpu", "--addr", addr, "--data", str(data)]
    with open(Path(data).parent / "serve.log", "ab") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
    try:
        line = server.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended at once: {Path(log.name).read_text()}")
        yield json.loads(line)["url"]
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


@contextlib.contextmanager
def browsing(chromium, driver):
    """A headless Chromium with a profile of its own that asks nobody else for anything."""
    profile = tempfile.mkdtemp(prefix="gvpie-browser-")
    options = Options()
    options.binary_location = chromium
    for argument in [
        "headless=new",
        "disable-gpu",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "disable-component-update",
        "disable-domain-reliability",
        "disable-sync",
        "no-default-browser-check",
        "no-first-run",
        "no-proxy-server",
        f"user-data-dir={profile}",
    ]:
        options.add_argument(f"--{argument}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(service=Service(executable_path=driver), options=options)
    try:
        yield browser
    finally:
        browser.quit()
        shutil.rmtree(profile, ignore_errors=True)


def equal(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, found {found!r}")


class Page:
    """What a person sees of the page, and does with it."""

    def __init__(self, browser, url, screenshots):
        self.browser = browser
        self.url = url
        self.screenshots = screenshots
        self.requests = []
        self.complaints = []

    def open(self, view="program"):
        # A change of the fragment alone would not load the page anew.
        self.browser.get("about:blank")
        self.browser.get(f"{self.url}/#{view}")
        self.wait(
            lambda: self.script("return document.getElementById('theme')?.ariaLabel"), "the page"
        )

    def size(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefers(self, scheme):
        """Tells the page which theme the system has."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def script(self, source, *arguments):
        return self.browser.execute_script(source, *arguments)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """The text of an element, as the page has it whether or not it is in sight."""
        return self.script(
            "return document.querySelector(arguments[0])?.textContent ?? ''", selector
        )

    def click(self, selector):
        self.wait(lambda: self.one(selector).click() or True, f"a click on {selector}")

    def go(self, view):
        """Goes to a view by its link."""
        self.click(f"nav a[href='#{view}']")
        self.wait(lambda: self.one(f"#view-{view}").is_displayed(), f"the view {view}")

    def keys(self, *keys):
        """Types to whatever has the focus."""
        self.browser.switch_to.active_element.send_keys(*keys)

    def wait(self, condition, what):
        """Waits until the condition gives something, and gives that."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                found = condition()
            except StaleElementReferenceException:
                found = None  # it was drawn anew meanwhile
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"waited {PATIENCE} s for {what}")
            time.sleep(0.02)

    def shows(self, selector, words):
        """Waits until an element says these words."""
        self.wait(lambda: words in self.text(selector), f"{words!r} in {selector}")

    def shot(self, name):
        """Keeps what is to be seen."""
        if self.screenshots:
            self.screenshots.mkdir(parents=True, exist_ok=True)
            time.sleep(0.4)  # lists and pictures come, colours fade
            self.browser.save_screenshot(str(self.screenshots / f"{name}.png"))

    def collect(self):
        """Takes what the console and the network have told since the last time."""
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                self.requests.append(message["params"]["url"])
        told, self.complaints = self.complaints, []
        return told + [
            entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"
        ]
