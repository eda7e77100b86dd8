"""A venue of raw sockets for the feed's system tests: REST snapshots and scripted streams."""

import base64
import hashlib
import queue
import socket
import threading

from tests.naive.feed_frames import frame

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
TIME_S = 20


class Stream:
    """The server's end of one WebSocket connection."""

    def __init__(self, link, path):
        self.link, self.path = link, path

    def send(self, *texts):
        self.link.sendall(b"".join(frame(TEXT, text) for text in texts))

    def send_bytes(self, raw):
        self.link.sendall(raw)

    def read(self):
        """Return (opcode, payload) of the next client frame; (0, b"") at the end."""
        head = self._exactly(2)
        if len(head) < 2:
            return 0, b""
        size = head[1] & 127
        assert head[1] & 128, "a client masks"
        if size == 126:
            size = int.from_bytes(self._exactly(2), "big")
        key = self._exactly(4)
        payload = self._exactly(size)
        return head[0] & 15, bytes(byte ^ key[k % 4] for k, byte in enumerate(payload))

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.link.recv(size - len(data))
            if not part:
                return data
            data += part
        return data

    def close(self):
        self.link.close()


class Venue:
    """Accepts connections; streams and REST requests wait in queues for the test to answer.

    `greeting` are bytes that go out in one packet with the handshake; `tls` is an SSL context.
    """

    def __init__(self, greeting=b"", tls=None):
        self.greeting, self._tls = greeting, tls
        self.streams = queue.Queue()
        self.marks = queue.Queue()  # the connections that carry mark prices, apart
        self.requests = queue.Queue()  # (path, answer(status, body, headers))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._links = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            link.settimeout(TIME_S)
            self._links.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        try:
            if self._tls:
                link = self._tls.wrap_socket(link, server_side=True)
                self._links.append(link)
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    part = link.recv(1)
                    if not part:
                        return
                    head += part
                lines = head.decode().split("\r\n")
                path = lines[0].split(" ")[1]
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
                if headers.get("upgrade") == "websocket":
                    key = next(
                        line for line in lines if line.lower().startswith("sec-websocket-key")
                    )
                    self._upgrade(link, key.split(": ")[1].encode(), path)
                    return
                done = threading.Event()

                def answer(status, body, more="", done=done):
                    text = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n"
                    link.sendall(text.encode() + body)
                    done.set()

                self.requests.put((path, answer))
                done.wait(TIME_S)
        except OSError:
            return  # the test closed it

    def _upgrade(self, link, key, path):
        is_marks = "@markPrice" in path
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        link.sendall(
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + (b"" if is_marks else self.greeting)
        )
        stream = Stream(link, path)
        if not is_marks:
            self.streams.put(stream)
            return
        self.marks.put(stream)
        # Nobody looks after it in most tests: it stays alive by itself.
        while (opcode := stream.read()[0]) != 0:
            if opcode == PING:
                stream.send_bytes(frame(PONG, b""))

    def close(self):
        if self._listener.fileno() < 0:
            return
        # Closing alone leaves a listener on which a thread waits in accept() alive.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            link.close()
