"""A mail server that fails as the names of its receivers say, for the tests of mail: aiosmtpd, with STARTTLS and a log-in.

Takes the files of a certificate and its key, prints its port, and then a line of JSON for each mail that it was given whole.
"""

import asyncio
import json
import ssl
import sys
from collections import Counter
from email import message_from_bytes, policy

from aiosmtpd.smtp import AuthResult, SMTP

SEEN = Counter()


def is_first(name, times=1):
    SEEN[name] += 1
    return SEEN[name] <= times


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name.startswith("later") and is_first(name, 2):
            return "450 try again later"
        if name.startswith("never"):
            return f"550 {address} does not live here"
        if name.startswith("busy") and is_first(name):
            return "421 going down"
        if name.startswith("babble") and is_first(name):
            return "\x00\xff nonsense"
        if name.startswith("gone") and is_first(name):
            server.transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].split("@")[0]
        if name.startswith("full") and is_first(name):
            return "452 no room"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        print(
            json.dumps(
                {
                    "to": envelope.rcpt_tos,
                    "from": envelope.mail_from,
                    "tls": session.ssl is not None,
                    "user": session.authenticated,
                    "subject": mail["subject"],
                    "id": mail["message-id"],
                    "bcc": mail["bcc"],
                    "text": mail.get_body(("plain",)).get_content(),
                    "html": mail.get_body(("html",)).get_content(),
                }
            ),
            flush=True,
        )
        # Taken, and whoever sent it never hears so.
        if name.startswith("lost") and is_first(name):
            server.transport.abort()
        if name.startswith("hang") and is_first(name):
            await asyncio.sleep(35)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"kembali", b"s3cret"))


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])


def session():
    return SMTP(
        Handler(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
        hostname="localhost",
        enable_SMTPUTF8=True,
    )


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    # Until whoever started it is gone.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
