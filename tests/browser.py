# SPDX-License-Identifier: MIT
"""Chromium without a window, for the tests of pages. It needs the packages chromium, chromium-driver and python3-selenium."""
import base64
import json
import os
import time

# What a person with a screen reader or a keyboard would miss; a list of complaints.
ACCESSIBLE = r"""
const said = [];
const shown = (e) => e.checkVisibility({checkVisibilityCSS: true});
const name = (e) => (e.getAttribute("aria-label") || e.textContent || "").trim();
for (const e of document.querySelectorAll("svg, img")) if (!name(e) || (e.tagName === "svg" && e.getAttribute("role") !== "img"))
  said.push("picture without a name");
for (const e of document.querySelectorAll("th")) if (!e.scope) said.push("th without scope: " + name(e));
for (const e of document.querySelectorAll("table")) if (!e.caption) said.push("table without caption");
for (const e of document.querySelectorAll("button, a, summary")) if (!name(e)) said.push(e.tagName + " without a name");
for (const e of document.querySelectorAll("input, select")) if (!e.labels.length) said.push("control without a label");
let level = 0;
for (const e of document.querySelectorAll("h1, h2, h3, h4")) {
  if (+e.tagName[1] > level + 1) said.push("heading skips a level: " + name(e));
  level = +e.tagName[1];
}
if (document.querySelectorAll("h1").length !== 1 || document.querySelectorAll("main").length !== 1) said.push("h1 or main");
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) { said.push("id twice: " + id); break; }
for (const e of document.querySelectorAll("a[href^='#']")) if (!document.getElementById(e.hash.slice(1))) said.push("dead link " + e.hash);
for (const e of document.querySelectorAll("[aria-labelledby]"))
  if (!document.getElementById(e.getAttribute("aria-labelledby"))) said.push("dead label");

const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgba = (css) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = (css) => {
  const [r, g, b] = rgba(css).slice(0, 3).map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (rgba(colour)[3] === 255) return colour;
  }
  return getComputedStyle(document.body).backgroundColor;
};
const poor = new Map();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !shown(e) || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.tagName)) continue;
  const style = getComputedStyle(e), ink = e.closest("svg") ? style.fill : style.color, paper = behind(e);
  const [a, b] = [light(ink), light(paper)].sort((x, y) => y - x);
  const contrast = (a + .05) / (b + .05);
  if (contrast < 4.5) poor.set(ink + paper, `contrast ${contrast.toFixed(2)} of ${ink} on ${paper}: ${walker.currentNode.data.trim()}`);
}
return [...said, ...poor.values()];
"""


class Browser:
    """Chromium without a window, by its driver; one at a time."""

    def __init__(self):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        options = webdriver.ChromeOptions()
        for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1180,900"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = "/usr/bin/chromedriver"
        self.driver = webdriver.Chrome(options=options, service=Service(driver)) if os.path.exists(driver) else \
            webdriver.Chrome(options=options)
        self.run = self.driver.execute_script
        self.ask = self.driver.execute_cdp_cmd

    def close(self):
        self.driver.quit()

    def open(self, path, width=1180, height=900, scheme="light", scale=1, calm=False):
        self.look(width, height, scheme, scale, calm)
        self.driver.get("file://" + os.path.abspath(path))

    def look(self, width=1180, height=900, scheme="light", scale=1, calm=False):
        self.ask("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}]})
        self.ask("Emulation.setDeviceMetricsOverride",
                 {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False})

    def complaints(self):
        """What the console said, and what was asked for but the file itself."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith("data:") and not (url.startswith("file://") and url.split("#")[0].endswith(".html")):
                    said.append(f"asked for {url}")
        return said

    def press(self, key, shift=False):
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        event = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.ask("Input.dispatchKeyEvent", {"type": "keyDown", "text": text, **event} if text else {"type": "rawKeyDown", **event})
        self.ask("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    def picture(self, path, width, clip=None):
        height = self.run("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, **(clip or {}), "scale": 1}
        data = self.ask("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def pdf(self):
        return base64.b64decode(self.ask("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})["data"])

    def wait(self, script, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(f"return {script}"):
                return True
            time.sleep(0.05)
        return False
