"""An HTTP/3 client that makes one request, and says as JSON how it went.

client.py ADDRESS HOST PATH --authority CERTIFICATE [--send FILE] [--out FILE] [--protocols N] [--lose N]

--protocols N offers so many protocols, which makes a large hello; --lose N loses the Nth datagram that it sends.
"""

import argparse
import asyncio
import json
import pathlib

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Losing:
    """A transport that counts what is sent, and loses one of it."""

    def __init__(self, transport, lost):
        self.transport, self.lost, self.sent = transport, lost, 0

    def sendto(self, datagram, address):
        self.sent += 1
        if self.sent != self.lost:
            self.transport.sendto(datagram, address)

    def __getattr__(self, name):
        return getattr(self.transport, name)


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.status, self.body = None, bytearray()
        self.began = self._loop.time()
        self.over = self._loop.create_future()

    def connection_made(self, transport):
        super().connection_made(Losing(transport, ARGUMENTS.lose))

    def datagram_received(self, datagram, address):
        super().datagram_received(datagram, address)
        # Its event comes only when the connection is drained.
        close = self._quic._close_event
        if close is not None and not self.over.done():
            self.end(closed=close.error_code)

    def quic_event_received(self, event):
        for event in self.http.handle_event(event):
            if isinstance(event, HeadersReceived):
                self.status = int(dict(event.headers)[b":status"])
            elif isinstance(event, DataReceived):
                self.body.extend(event.data)
            else:
                continue
            if event.stream_ended:
                self.end(closed=None)

    def request(self):
        stream = self._quic.get_next_available_stream_id()
        body = ARGUMENTS.send.read_bytes() if ARGUMENTS.send else None
        headers = [
            (b":method", b"GET" if body is None else b"POST"),
            (b":scheme", b"https"),
            (b":authority", ARGUMENTS.host.encode()),
            (b":path", ARGUMENTS.path.encode()),
        ]
        self.http.send_headers(stream, headers, end_stream=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()

    def end(self, closed):
        said = {
            "status": self.status,
            "closed": closed,
            "seconds": self._loop.time() - self.began,
            "sent": self._transport.sent,
        }
        self.over.set_result(said)


async def main():
    others = [f"other-protocol-{number}" for number in range(1, ARGUMENTS.protocols)]
    configuration = QuicConfiguration(
        alpn_protocols=["h3", *others], server_name=ARGUMENTS.host, idle_timeout=10
    )
    configuration.load_verify_locations(ARGUMENTS.authority)
    try:
        async with connect(
            ARGUMENTS.address,
            443,
            configuration=configuration,
            create_protocol=Client,
            wait_connected=False,
        ) as client:
            client.transmit()
            waiting = asyncio.ensure_future(client.wait_connected())
            await asyncio.wait([waiting, client.over], return_when=asyncio.FIRST_COMPLETED)
            if not client.over.done():
                await waiting
                client.request()
            said = await client.over
            waiting.cancel()
            if ARGUMENTS.out:
                ARGUMENTS.out.write_bytes(client.body)
    except ConnectionError:
        said = {"status": None, "closed": None}
    print(json.dumps(said))


PARSER = argparse.ArgumentParser()
for name in ("address", "host", "path"):
    PARSER.add_argument(name)
PARSER.add_argument("--authority", required=True)
for name in ("--send", "--out"):
    PARSER.add_argument(name, type=pathlib.Path)
PARSER.add_argument("--protocols", type=int, default=1)
PARSER.add_argument("--lose", type=int)
ARGUMENTS = PARSER.parse_args()
asyncio.run(main())
