"""A page in Chromium, as a person sees it. Knows nothing of what is behind the page."""

import json
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from central import wait_until


class Page:
    """A tab with one page, in a browser of its own."""

    def __init__(self, size=(1280, 800), dark=False, reduced_motion=True, javascript=True):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser")
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                         "--disable-dev-shm-usage", "--disable-background-networking"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        if not javascript:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.resize(*size)
        self.prefer(dark, reduced_motion)

    def resize(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def prefer(self, dark=False, reduced_motion=True):
        features = [("prefers-color-scheme", "dark" if dark else "light"),
                    ("prefers-reduced-motion", "reduce" if reduced_motion else "no-preference")]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": name, "value": value} for name, value in features]})

    def open(self, url):
        self.driver.get(url)
        return self

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector):
        """What an element says, whether it is seen or only heard; None without one."""
        return self.run("const it = document.querySelector(arguments[0]); return it && it.textContent.trim()", selector)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def attribute(self, name):
        return self.run("return document.documentElement.dataset[arguments[0]]", name)

    def wait_live(self):
        wait_until(lambda: self.attribute("link") == "live", "the page live")
        return self

    def wait_text(self, selector, *texts):
        """Waits until an element says all of these."""
        def says():
            text = self.text(selector) or ""
            return all(each in text for each in texts)
        wait_until(says, f"{texts} in {selector}")

    def rows(self):
        """The texts of all rows, by agency."""
        cells = self.run("return [...document.querySelectorAll('tbody tr')].map(row => "
                         "[...row.cells].map(cell => cell.firstElementChild ? cell.firstElementChild.textContent : cell.textContent))")
        return {int(row[0]): row for row in cells}

    def shown(self):
        """The numbers of the rows that are shown, in their order."""
        return self.run("return [...document.querySelectorAll('tbody tr')].filter(row => row.getClientRects().length)"
                        ".map(row => Number(row.cells[0].textContent))")

    def complaints(self):
        """What stands in the console."""
        return self.driver.get_log("browser")

    def requests(self):
        """The addresses of everything that was asked for."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]

    def screenshot(self, file):
        self.driver.save_screenshot(str(file))

    def close(self):
        self.driver.quit()
