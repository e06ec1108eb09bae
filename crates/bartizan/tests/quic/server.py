"""An HTTP/3 server: files of a folder, and what is posted to it comes back.

server.py CERTIFICATE KEY FOLDER
"""

import asyncio
import pathlib
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated


class Server(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = None
        self.requests = {}

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        if self.http is None:
            return
        for event in self.http.handle_event(event):
            if isinstance(event, HeadersReceived):
                self.requests[event.stream_id] = (dict(event.headers), bytearray())
            elif isinstance(event, DataReceived):
                self.requests[event.stream_id][1].extend(event.data)
            else:
                continue
            if event.stream_ended:
                self.answer(event.stream_id, *self.requests.pop(event.stream_id))
        self.transmit()

    def answer(self, stream, headers, body):
        path = headers[b":path"].decode().lstrip("/")
        status = b"200"
        if headers[b":method"] == b"GET":
            file = FOLDER / (path or "index.html")
            status, body = (b"200", file.read_bytes()) if file.is_file() else (b"404", b"")
        kind = b"text/html" if path == "" else b"application/octet-stream"
        self.http.send_headers(stream, [(b":status", status), (b"content-type", kind)])
        self.http.send_data(stream, bytes(body), end_stream=True)


async def main(certificate, key):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    configuration.load_cert_chain(certificate, key)
    await serve("::", 443, configuration=configuration, create_protocol=Server)
    await asyncio.Event().wait()


CERTIFICATE, KEY, FOLDER = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
asyncio.run(main(CERTIFICATE, KEY))
