"""Looks at nodeloom as a person would: in a real browser, from the one-time set-up link on.

Starts the given binary on a free loopback port with an empty data folder, drives headless Chromium
through the pages, and fails on any policy violation, console error, foreign request, unreachable
control, sideways scrolling, or missing label. Screenshots are left for a person's eye.
"""

import argparse
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

EMAIL = "ada@example.org"
PASSWORD = "loopback-only-4711-browser"
READY = "nodeloom is ready on "
WAIT_SECONDS = 30

# Chromium's own errands (updates, sync, field trials) have no place in a test.
CHROMIUM_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

WATCH = """
window.__violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
    window.__violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""

# Everything a pointer could use, minus what is hidden or switched off.
CONTROLS = """
() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]
    .filter((one) => !one.disabled && one.type !== 'hidden' && one.tabIndex >= 0
        && one.checkVisibility({ visibilityProperty: true }))
    .map((one, at) => { one.dataset.at = at; return `${one.tagName.toLowerCase()} `
        + (one.name || one.id || one.textContent.trim().slice(0, 30)); })
"""

FOCUSED = """
() => {
    const one = document.activeElement;
    if (!one || one === document.body || one.dataset.at === undefined) return null;
    const style = getComputedStyle(one);
    const shows = (style.outlineStyle !== 'none' && style.outlineWidth !== '0px')
        || style.boxShadow !== 'none';
    return { at: Number(one.dataset.at), shows };
}
"""

SHAPE = """
() => ({
    title: document.title,
    language: document.documentElement.lang,
    headings: document.querySelectorAll('h1').length,
    unlabelled: [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
        .filter((one) => !one.labels?.length && !one.ariaLabel && !one.getAttribute('aria-labelledby'))
        .map((one) => one.name || one.id || one.outerHTML.slice(0, 60)),
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    stored: Object.keys(localStorage).length + Object.keys(sessionStorage).length,
    violations: window.__violations,
})
"""


class Server:
    """The binary under test, ended by its own pid."""

    def __init__(self, binary, folder, settings=None):
        self.log = open(folder / "log", "w+", encoding="utf-8")
        self.data = folder / "data"
        environment = {
            "PATH": os.environ["PATH"],
            "NODELOOM_LISTEN": "127.0.0.1:0",
            "NODELOOM_DATA_DIR": str(self.data),
        } | (settings or {})
        self.process = subprocess.Popen(
            [binary, "serve"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def wait_until_ready(self):
        end = time.monotonic() + WAIT_SECONDS
        while (left := end - time.monotonic()) > 0:
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            if READY in line:
                return line.split(READY, 1)[1].split()[0].rstrip("/")
        raise SystemExit("the server was not ready:\n" + Path(self.log.name).read_text())

    def setup_link(self):
        """The link that a server without a terminal leaves in its data folder."""
        path = self.data / "setup-link"
        end = time.monotonic() + 10
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.1)
        mode = path.stat().st_mode & 0o777
        if mode != 0o600:
            raise SystemExit(f"{path.name} has mode {mode:o}, not 600")
        return next(word for word in path.read_text().split() if word.startswith("http"))

    def stop(self):
        self.process.terminate()
        try:
            code = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit("the server did not end in 20 s after SIGTERM") from None
        self.log.close()
        if code != 0:
            raise SystemExit(f"the server ended with {code} after SIGTERM")


class Check:
    """Collects what is wrong, so that one run shows all of it."""

    def __init__(self, browser, origin, screenshots):
        self.browser = browser
        self.origin = origin
        self.screenshots = screenshots
        self.wrong = []
        self.looked_at = 0

    def expect(self, holds, sentence):
        if not holds:
            self.wrong.append(sentence)
            print(f"  wrong: {sentence}")

    def context(self, width=1280, height=800, scheme="light", state=None):
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, storage_state=state
        )
        context.set_default_timeout(10_000)
        context.add_init_script(WATCH)
        return context

    def page(self, context, name):
        """A page whose console, errors and requests are watched."""
        page = context.new_page()

        def on_console(message):
            self.expect(
                message.type not in ("error", "warning"), f"{name}: console says: {message.text}"
            )

        def on_request(request):
            at = urlsplit(request.url)
            self.expect(
                at.scheme in ("data", "blob") or f"{at.scheme}://{at.netloc}" == self.origin,
                f"{name}: asks a foreign host: {request.url}",
            )

        page.on("console", on_console)
        page.on("request", on_request)
        page.on("pageerror", lambda error: self.expect(False, f"{name}: script error: {error}"))
        page.on(
            "response",
            lambda answer: self.expect(
                answer.status < 400, f"{name}: {answer.status} for {answer.url}"
            ),
        )
        return page

    def open(self, page, path, name):
        answer = page.goto(self.origin + path if path.startswith("/") else path)
        page.wait_for_load_state("networkidle")
        headers = answer.headers if answer else {}
        policy = headers.get("content-security-policy", "")
        self.expect("frame-ancestors 'none'" in policy, f"{name}: may be framed")
        self.expect(
            "script-src" in policy or "default-src" in policy, f"{name}: no policy for scripts"
        )
        self.expect("unsafe" not in policy, f"{name}: the policy allows something unsafe: {policy}")
        self.expect(
            headers.get("x-content-type-options") == "nosniff", f"{name}: nosniff is missing"
        )
        self.expect(
            headers.get("referrer-policy") == "no-referrer", f"{name}: no-referrer is missing"
        )
        self.expect("no-store" in headers.get("cache-control", ""), f"{name}: may be stored")
        return page

    def look(self, page, name):
        """Shape, labels, storage, policy violations; then a picture."""
        self.looked_at += 1
        shape = page.evaluate(SHAPE)
        self.expect(bool(shape["title"].strip()), f"{name}: has no title")
        self.expect(bool(shape["language"]), f"{name}: names no language")
        self.expect(shape["headings"] == 1, f"{name}: {shape['headings']} h1 headings, not one")
        self.expect(not shape["unlabelled"], f"{name}: without a label: {shape['unlabelled']}")
        self.expect(shape["sideways"] <= 0, f"{name}: scrolls sideways by {shape['sideways']} px")
        self.expect(shape["stored"] == 0, f"{name}: keeps something in the browser's storage")
        self.expect(not shape["violations"], f"{name}: policy violations: {shape['violations']}")
        page.screenshot(path=self.screenshots / f"{name}.png", full_page=True)

    def keyboard(self, page, name):
        """Every control is reached by Tab and shows that it has the focus."""
        page.evaluate("document.activeElement?.blur()")
        controls = page.evaluate(CONTROLS)
        self.expect(bool(controls), f"{name}: has no controls")
        reached = {}
        # Boxes that scroll are stops as well.
        for _ in range(2 * len(controls) + 20):
            if len(reached) == len(controls):
                break
            page.keyboard.press("Tab")
            focused = page.evaluate(FOCUSED)
            if focused:
                reached[focused["at"]] = focused["shows"]
        for at, control in enumerate(controls):
            self.expect(at in reached, f"{name}: Tab does not reach {control}")
            self.expect(reached.get(at, True), f"{name}: no visible focus on {control}")

    def set_up(self, link):
        """The first administrator, by the link alone and by the keyboard alone."""
        context = self.context()
        page = self.page(context, "setup")
        self.open(page, link, "setup")
        self.look(page, "setup-light")
        self.keyboard(page, "setup")
        page.locator("input[type=email]").fill(EMAIL)
        for field in page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        page.locator("input[type=password]").last.press("Enter")
        end = time.monotonic() + 15
        cookie = None
        while cookie is None and time.monotonic() < end:
            page.wait_for_timeout(100)
            cookie = next(
                (one for one in context.cookies() if one["name"] == "__Host-nodeloom"), None
            )
        page.wait_for_load_state("networkidle")
        self.expect(cookie is not None, "setup: no session after the form was sent")
        if cookie:
            kept = (cookie["httpOnly"], cookie["secure"], cookie["sameSite"])
            self.expect(kept == (True, True, "Strict"), f"setup: cookie attributes {kept}")
        self.look(page, "setup-done")
        code = urlsplit(link).fragment
        self.expect(len(code) >= 20, "setup: the link holds no code in its fragment")
        self.expect(code not in page.content(), "setup: the code is still in the page")
        self.expect(code not in page.url, "setup: the code is still in the address")
        me = page.evaluate("fetch('/api/auth/me').then((answer) => answer.json())")
        self.expect(me.get("email") == EMAIL, f"setup: signed in as {me}")
        state = context.storage_state()
        context.close()
        return state

    def link_is_spent(self, link):
        """The same link makes no second administrator."""
        context = self.context()
        page = context.new_page()
        page.goto(link)
        page.wait_for_load_state("networkidle")
        if page.locator("input[type=email]:visible").count():
            page.locator("input[type=email]").fill("eve@example.org")
            for field in page.locator("input[type=password]").all():
                field.fill(PASSWORD)
            page.locator("input[type=password]").last.press("Enter")
            page.wait_for_timeout(1_000)
        self.expect(not context.cookies(), "setup: a spent link signs somebody in")
        page.screenshot(path=self.screenshots / "setup-spent.png", full_page=True)
        context.close()

    def views(self, path, name, state=None):
        """One page in light, in dark, and on a small screen."""
        sizes = [("light", 1280), ("dark", 1280), ("light", 360)]
        for scheme, width in sizes:
            label = f"{name}-{scheme}" if width > 360 else f"{name}-{width}"
            context = self.context(width=width, scheme=scheme, state=state)
            page = self.page(context, label)
            self.open(page, path, label)
            self.look(page, label)
            if scheme == "light" and width > 360:
                self.keyboard(page, name)
            context.close()


def launch(playwright, chromium):
    return playwright.chromium.launch(
        executable_path=chromium,
        headless=True,
        # Chromium refuses to run its sandbox as root.
        chromium_sandbox=os.geteuid() != 0,
        args=CHROMIUM_FLAGS,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=lambda path: Path(path).resolve())
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--screenshots", required=True, type=lambda path: Path(path).resolve())
    arguments = parser.parse_args()
    arguments.screenshots.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory(prefix="nodeloom-browser.") as folder:
        server = Server(arguments.binary, Path(folder))
        try:
            origin = server.wait_until_ready()
            link = server.setup_link()
            with sync_playwright() as playwright:
                browser = launch(playwright, arguments.chromium)
                check = Check(browser, origin, arguments.screenshots)
                check.views("/setup", "setup-blank")
                check.views("/", "home-before")
                state = check.set_up(link)
                check.link_is_spent(link)
                check.views("/", "home-after")
                check.views("/", "home-signed-in", state)
                check.views("/api/docs", "docs")
                browser.close()
        finally:
            server.stop()

    print(f"{check.looked_at} views, {len(check.wrong)} things wrong; pictures in {arguments.screenshots}")
    sys.exit(1 if check.wrong else 0)


if __name__ == "__main__":
    main()
