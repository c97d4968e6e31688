"""Holds the running server against its own API document, with Schemathesis.

Starts the given binary on a free loopback port with an empty data folder, signs in as the first
administrator, lists with the original system's own client library, and then sends what the document allows and what it does not: once signed in, once as
nobody. A 5xx, a status or a shape that the document does not name, is a failure.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

import client_library

EMAIL = "ada@example.org"
PASSWORD = "loopback-only-4711-contract"
READY = "nodeloom is ready on "
WAIT_SECONDS = 30

CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "unsupported_method",
    ]
)

# They end the session that the other requests need; the run as nobody sends them.
ENDS_THE_SESSION = ["logout", "refresh", "reauthenticate", "changePassword"]


class Server:
    """The binary under test, ended by its own pid."""

    def __init__(self, binary, folder):
        self.log = open(folder / "log", "w+", encoding="utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "NODELOOM_LISTEN": "127.0.0.1:0",
            "NODELOOM_DATA_DIR": str(folder / "data"),
            "ADMIN_EMAIL": EMAIL,
            "ADMIN_PASSWORD": PASSWORD,
        }
        self.process = subprocess.Popen(
            [binary, "serve"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        timer = threading.Timer(WAIT_SECONDS, self.process.terminate)
        timer.start()
        self.url = None
        for line in self.process.stdout:
            if line.startswith(READY):
                self.url = line.removeprefix(READY).split()[0].rstrip("/")
                break
        timer.cancel()
        if self.url is None:
            sys.exit(f"the server did not become ready:\n{self.end_of_log()}")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def end_of_log(self):
        self.log.seek(0)
        return "".join(self.log.readlines()[-20:])

    def post(self, path, body, cookie="", wanted=201):
        """Returns the answer's headers and its JSON."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=WAIT_SECONDS)
        headers = {"Content-Type": "application/json", "Origin": self.url}
        if cookie:
            headers["Cookie"] = cookie
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != wanted:
            sys.exit(f"{path} answered {answer.status}")
        return answer, json.loads(text)

    def sign_in(self):
        """Returns the cookie pair and the person's team."""
        body = {"email": EMAIL, "password": PASSWORD}
        answer, me = self.post("/api/auth/login", body, wanted=200)
        return answer.getheader("Set-Cookie").split(";")[0], me["teams"][0]["teamId"]

    def try_client_library(self):
        """Stores one credential, makes a token, and lists with the published library."""
        cookie, team = self.sign_in()
        data = {"token": client_library.SECRET}
        credential = {"name": "For the library", "type": "BEARER_TOKEN", "teamId": team, "data": data}
        self.post("/api/credentials", credential, cookie)
        token = {"name": "library", "teamId": team, "role": "VIEWER"}
        _, made = self.post("/api/tokens", token, cookie)
        client_library.check(self.url, made["token"], team)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def schemathesis(tool, server, folder, seed, examples, more):
    command = [
        *(tool, "run", f"{server.url}/api/openapi.json"),
        *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"),
        *("--request-timeout", "30", "--warnings", "off", "--suppress-health-check", "all"),
        *("--header", f"Origin: {server.url}"),
        *more,
    ]
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=Path)
    parser.add_argument("--schemathesis", required=True, type=Path, help="the program `st`")
    parser.add_argument("--examples", default=10, type=int, help="cases of each operation")
    parser.add_argument("--seed", default=1, type=int)
    options = parser.parse_args()
    tool = options.schemathesis.absolute()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        server = Server(options.binary.absolute(), folder)
        try:
            server.try_client_library()
            cookie = ["--header", f"Cookie: {server.sign_in()[0]}"]
            for operation in ENDS_THE_SESSION:
                cookie += ["--exclude-operation-id", operation]
            codes = [
                schemathesis(tool, server, folder, options.seed, options.examples, more)
                for more in (cookie, [])
            ]
            if any(codes):
                print(f"the end of the server's log:\n{server.end_of_log()}")
        finally:
            server.stop()
    if any(codes):
        sys.exit("the server and its API document disagree, see above")
    print(f"server and API document agree ({options.examples} cases of each operation, twice)")


if __name__ == "__main__":
    main()
