"""An SMTP server with sign-in, for tests: aiosmtpd on three loopback ports.

usage: smtp.py STARTTLS_PORT TLS_PORT PLAIN_PORT CERTIFICATE KEY MAILBOX

Mail is kept in the folder MAILBOX, a Maildir. The accounts come from standard input, one `name password` a line. Prints `ready` once it listens.
"""

import asyncio
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult


async def main() -> None:
    starttls_port, tls_port, plain_port = (int(port) for port in sys.argv[1:4])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    mailbox = Mailbox(sys.argv[6])
    accounts = dict(line.rstrip("\n").split(" ", 1) for line in sys.stdin)

    def authenticate(server, session, envelope, mechanism, data) -> AuthResult:
        password = accounts.get(data.login.decode())
        return AuthResult(
            success=password is not None and data.password == password.encode(), handled=False
        )

    def protocol(**options) -> SMTP:
        return SMTP(mailbox, hostname="localhost", authenticator=authenticate, **options)

    loop = asyncio.get_running_loop()
    await loop.create_server(
        lambda: protocol(tls_context=context, require_starttls=True),
        "127.0.0.1",
        starttls_port,
    )
    # Over implicit TLS aiosmtpd does not see TLS; the connection has it all the same. LOGIN alone,
    # so that both ways of signing in are met.
    await loop.create_server(
        lambda: protocol(auth_require_tls=False, auth_exclude_mechanism=["PLAIN"]),
        "127.0.0.1",
        tls_port,
        ssl=context,
    )
    await loop.create_server(
        lambda: protocol(auth_require_tls=False), "127.0.0.1", plain_port
    )
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
