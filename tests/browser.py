"""A real browser for tests of pages: Chromium, without a window, and what it says of a page."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Elements of which some part lies beyond the screen.
WIDE = """() => [...document.querySelectorAll('body, body *')]
  .filter(one => !one.closest('symbol') && one.getBoundingClientRect().right > innerWidth + 0.5)
  .map(one => `${one.tagName} ${one.getAttribute('class')} ${one.getBoundingClientRect().right}`)"""

# (contrast, what is wanted, words) of every piece of text: on HTML's backgrounds, and of graphs on each of their boxes.
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = colour => { const [r, g, b] = rgb(colour).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const contrast = (one, other) => { const [a, b] = [light(one), light(other)].sort(); return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  const behind = one => { while (one) { const found = getComputedStyle(one).backgroundColor; if (rgb(found)[3] === 255) return found; one = one.parentElement; }
    return getComputedStyle(document.body).backgroundColor; };
  const root = getComputedStyle(document.documentElement), found = [];
  const boxes = ['--page', '--c-ffffff', '--c-dbe9f8', '--c-f6f7f8'].map(name => root.getPropertyValue(name));
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode, one = text.parentElement, style = getComputedStyle(one);
    if (!text.textContent.trim() || ['SCRIPT', 'STYLE'].includes(one.tagName)) continue;
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const grounds = one.closest('symbol') ? boxes : [behind(one.closest('svg')?.parentElement || one)];
    for (const ground of grounds)
      found.push([contrast(one instanceof SVGElement ? style.fill : style.color, ground), large ? 3 : 4.5, text.textContent.slice(0, 40)]);
  }
  return found; }"""


def chromium() -> str:
    """Where it is. `make test` installs it."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found is not None, "Chromium is missing: `make browser` installs it"
    return found


@contextmanager
def browsing():
    """A browser that is closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = play.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One page, opened from its file; `requests` and `complaints` are what left and what its console says."""

    def __init__(self, browser, file: Path, *, width: int = 1280, dark: bool = False, script: bool = True) -> None:
        scheme = "dark" if dark else "light"
        self.context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=script
        )
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.url = file.resolve().as_uri()
        self.page.goto(self.url)

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_) -> None:
        self.context.close()

    def asked_for_nothing(self) -> bool:
        """Whether nothing but the file itself was read."""
        return [url for url in self.requests if not url.startswith("data:")] == [self.url]
