"""Signs in at a real OpenID provider, in a real browser, as people would and as they should not.

Starts the provider and the given binary on free loopback ports. The provider is `localhost` and
nodeloom `127.0.0.1`: two sites to a browser, as in real life. Screenshots are left for a person's eye.
"""

import argparse
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from check import PASSWORD, Server, launch
from playwright.sync_api import sync_playwright

ADMIN = "ada@example.org"
PERSON = "bob@example.org"
CLIENT = "nodeloom"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Provider:
    """The identity provider, ended by its own pid."""

    def __init__(self, script, port, redirect_uri, secret):
        self.process = subprocess.Popen(
            ["node", script, str(port), CLIENT, redirect_uri],
            env={"PATH": os.environ["PATH"], "CLIENT_SECRET": secret},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # It warns that its sign-in pages are for development.
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit("the identity provider did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


class Walk:
    """One browser with its own cookies, and what is wrong with what it sees."""

    wrong = []

    def __init__(self, browser, origin, screenshots):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.context.set_default_timeout(15_000)
        self.page = self.context.new_page()
        self.origin = origin
        self.screenshots = screenshots

    def expect(self, holds, sentence):
        if not holds:
            self.wrong.append(sentence)
            print(f"  wrong: {sentence}")

    def start(self, query=""):
        self.page.goto(f"{self.origin}/api/auth/oidc/start{query}")
        self.page.wait_for_load_state("networkidle")

    def is_asked(self):
        """Whether the provider wants to know who this is."""
        return self.page.locator("input[name=login]").count() == 1

    def enter(self, email):
        """Signs in at the provider and lets nodeloom know who it is."""
        self.prove(email)
        self.agree()

    def prove(self, email):
        self.expect(self.is_asked(), f"{email}: the provider asks nobody")
        self.page.locator("input[name=login]").fill(email)
        self.page.locator("input[name=password]").fill("whatever")
        self.page.locator("button[type=submit]").click()
        self.page.wait_for_load_state("networkidle")

    def agree(self):
        if self.page.locator("input[name=prompt][value=consent]").count():
            self.page.locator("button[type=submit]").click()
            self.page.wait_for_load_state("networkidle")

    def catch(self, email):
        """Signs in and keeps the provider's answer from nodeloom; gives its address."""
        self.start()
        self.prove(email)
        request = self.context.request
        consent = self.page.evaluate("document.forms[0].action")
        answer = request.post(consent, form={"prompt": "consent"}, max_redirects=0)
        while not (location := answer.headers["location"]).startswith(self.origin):
            answer = request.get(location, max_redirects=0)
        return location

    def me(self):
        """Who is signed in, nobody if nobody is. Asked from a page of nodeloom's own."""
        answer = self.context.request.get(f"{self.origin}/api/auth/me")
        return answer.json() if answer.ok else None

    def sign_out(self):
        answer = self.context.request.post(
            f"{self.origin}/api/auth/logout", headers={"Origin": self.origin}
        )
        self.expect(answer.ok, f"sign-out: {answer.status}")

    def refused(self, name, words):
        self.page.screenshot(path=self.screenshots / f"sso-{name}.png", full_page=True)
        text = self.page.inner_text("body")
        self.expect(words in text, f"{name}: the page does not say {words!r} but {text!r}")
        self.expect(self.me() is None, f"{name}: somebody is signed in")


def walks(browser, origin, screenshots, provider):
    def walk():
        return Walk(browser, origin, screenshots)

    bob = walk()
    bob.page.goto(origin)
    link = bob.page.get_by_role("link", name="Example ID")
    bob.expect(link.count() == 1, "the first page offers no single sign-on")
    bob.page.screenshot(path=screenshots / "sso-offer.png", full_page=True)
    link.click()
    bob.page.wait_for_load_state("networkidle")
    bob.page.screenshot(path=screenshots / "sso-provider.png", full_page=True)
    bob.enter(PERSON)
    bob.page.screenshot(path=screenshots / "sso-signed-in.png", full_page=True)
    first = bob.me() or {}
    bob.expect(first.get("email") == PERSON, f"somebody new: signed in as {first}")
    roles = [team["role"] for team in first.get("teams", [])]
    bob.expect(roles == ["VIEWER"], f"somebody new: has the roles {roles}")
    bob.expect("code=" not in bob.page.url, f"the address keeps the code: {bob.page.url}")
    cookies = {one["name"]: one for one in bob.context.cookies(origin)}
    kept = cookies.get("__Host-nodeloom", {})
    attributes = (kept.get("httpOnly"), kept.get("secure"), kept.get("sameSite"))
    bob.expect(attributes == (True, True, "Strict"), f"cookie attributes {attributes}")

    bob.sign_out()
    bob.expect(bob.me() is None, "signed out, and still in")
    bob.start()
    bob.agree()
    again = bob.me() or {}
    bob.expect(again.get("id") == first.get("id"), "the second sign-in made another person")
    bob.start("?reauthenticate=true")
    bob.expect(bob.is_asked(), "for a fresh proof the provider asks nobody")

    stranger = walk()
    stranger.start()
    stranger.enter("unverified@example.org")
    stranger.refused("unverified", "verified")

    taker = walk()
    taker.start()
    taker.enter(ADMIN)
    taker.refused("administrator", "administers this instance")

    coward = walk()
    coward.start()
    coward.page.get_by_text("Cancel").click()
    coward.page.wait_for_load_state("networkidle")
    coward.refused("cancelled", "you said no there")

    forger = walk()
    forger.start()
    forger.page.goto(f"{origin}/api/auth/oidc/callback?code=forged&state=forged")
    forger.refused("forged", "began in another browser")

    # An answer that was fetched in one browser opens nothing in another.
    thief, victim = walk(), walk()
    answer = thief.catch("eve@example.org")
    victim.page.goto(answer)
    victim.refused("planted", "began in another browser")

    late = walk()
    answer = late.catch("late@example.org")
    provider.stop()
    late.page.goto(answer)
    late.refused("provider-down", "identity provider")
    login = late.context.request.post(
        f"{origin}/api/auth/login",
        headers={"Origin": origin},
        data={"email": ADMIN, "password": PASSWORD},
    )
    late.expect(login.ok, f"break-glass: {login.status}")
    trail = late.context.request.get(f"{origin}/api/audit?action=session.create&size=100")
    outcomes = [(one["actor"]["name"], one["outcome"]) for one in trail.json()["content"]]
    late.expect(
        sum(outcome == "refused" for _, outcome in outcomes) >= 3,
        f"the refusals are not in the trail: {outcomes}",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=lambda path: Path(path).resolve())
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--provider", required=True, type=lambda path: Path(path).resolve())
    parser.add_argument("--screenshots", required=True, type=lambda path: Path(path).resolve())
    arguments = parser.parse_args()
    arguments.screenshots.mkdir(parents=True, exist_ok=True)

    port, provider_port, secret = free_port(), free_port(), secrets.token_urlsafe(24)
    origin = f"http://127.0.0.1:{port}"
    redirect_uri = f"{origin}/api/auth/oidc/callback"
    provider = Provider(arguments.provider, provider_port, redirect_uri, secret)
    with tempfile.TemporaryDirectory(prefix="nodeloom-sso.") as folder:
        settings = {
            "NODELOOM_LISTEN": f"127.0.0.1:{port}",
            "APP_BASE_URL": origin,
            "APP_SSRF_ALLOW": f"localhost:{provider_port}",
            "ADMIN_EMAIL": ADMIN,
            "ADMIN_PASSWORD": PASSWORD,
            "OIDC_ISSUER": f"http://localhost:{provider_port}",
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_CLIENT_SECRET": secret,
            "OIDC_NAME": "Example ID",
            "OIDC_DEFAULT_ROLE": "VIEWER",
        }
        server = Server(arguments.binary, Path(folder), settings)
        try:
            server.wait_until_ready()
            with sync_playwright() as playwright:
                browser = launch(playwright, arguments.chromium)
                walks(browser, origin, arguments.screenshots, provider)
                browser.close()
        finally:
            provider.stop()
            server.stop()
        log = (Path(folder) / "log").read_text()
        if secret in log:
            Walk.wrong.append("the client's secret stands in the log")
    print(f"{len(Walk.wrong)} things wrong; pictures in {arguments.screenshots}")
    sys.exit(1 if Walk.wrong else 0)


if __name__ == "__main__":
    main()
