"""``nox -s report``: a report in headless Chromium: no error in its console, a picture of it.

Makes the report of the tests, with everything in it and names that would break out of a page, and
shows it as wide as a desk's screen and as a phone's, light and dark. Debian has the browser:
``apt-get install chromium``. First a page with an error is shown, which must be found out. What a
page takes to open is told by the browser itself: without its own start, and without the picture.
"""

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nas.report.page import write_report
from rtl.cli import command
from rtl.errors import ToolError, UserError
from tests.nas.report.samples import report

PROG = "python -m tests.nas.report.browser"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 120
SCHEMES = {"dark": 0, "light": 1}
SIZES = {"desk": (1200, 2400), "phone": (390, 6400)}
OPENED = re.compile(r"open after (\d+) ms")
"""What a frame says once the page in it is loaded, laid out and styled."""
BROKEN = "<!doctype html><title>broken</title><script>no.such.thing()</script>"


@dataclass(frozen=True)
class BrowserOptions:
    """Show a report in headless Chromium, and fail on anything in its console."""

    page: Path | None = None
    """Report to show; by default one of random networks."""

    out: Path = Path("runs/report")
    """Folder that receives the pictures."""


def main(options: BrowserOptions) -> None:
    """Show pages.

    Raises
    ------
    UserError
        If there is no Chromium, or no such page.
    ToolError
        If a page's console has anything in it, or an error is not found out.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError("no Chromium: apt-get install chromium, as Debian has it")
    if options.page and not options.page.is_file():
        raise UserError(f"{options.page}: no such file: a run that was interrupted has no report")
    options.out.mkdir(parents=True, exist_ok=True)
    broken = options.out / "broken.html"
    broken.write_text(BROKEN, encoding="utf-8")
    if not show(browser, broken, options.out / "broken.png", (400, 300), "light"):
        raise ToolError("an error in the console of a page was not found out")
    page = options.page or options.out / "report.html"
    if options.page is None:
        write_report(report(), page)
    for scheme in SCHEMES:
        for name, size in SIZES.items():
            picture, began = options.out / f"{name}-{scheme}.png", time.monotonic()
            said = show(browser, framed(page, size, options.out), picture, size, scheme)
            opened = [float(found[1]) for found in map(OPENED.search, said) if found]
            if len(said) != len(opened):
                raise ToolError("\n".join([f"{page}: the console is not empty", *said]))
            if not opened:
                raise ToolError(f"{page}: the browser does not say that it is open")
            took = time.monotonic() - began
            print(f"Wrote {picture}: open after {opened[0] / 1000:.2f} s, {took:.1f} s in all")


def framed(page: Path, size: tuple[int, int], folder: Path) -> Path:
    """Return a page that shows another one in its width: browsers' windows have a least one."""
    file = folder / f"frame-{size[0]}.html"
    frame = f'<iframe src="{page.resolve().as_uri()}" width="{size[0]}" height="{size[1]}"'
    style = "<style>body{margin:0}iframe{border:0}</style>"
    done = "onload=\"console.log('open after ' + Math.round(performance.now()) + ' ms')\""
    file.write_text(f"<!doctype html>{style}{frame} {done}></iframe>", encoding="utf-8")
    return file


def show(browser: str, page: Path, picture: Path, size: tuple[int, int], scheme: str) -> list[str]:
    """Draw a page, and return the lines of its console."""
    arguments = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--enable-logging=stderr", f"--window-size={size[0]},{size[1]}",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        f"--screenshot={picture.resolve()}", page.resolve().as_uri(),
    ]  # fmt: skip
    picture.unlink(missing_ok=True)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode or not picture.is_file():
        raise ToolError(f"{browser} drew nothing of {page}: {done.stderr[-400:]}")
    return [line for line in done.stderr.splitlines() if re.search(r"\bCONSOLE\b", line)]


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
