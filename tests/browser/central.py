"""A central as a process, and agencies that do what a test tells them, over plain TCP. Knows nothing of
browsers."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

import agency as protocol  # noqa: E402  the agency in Python speaks the protocol

PROGRAMS = REPOSITORY / "target" / "release"
WINNING_NUMBER = "7574"
REJECTED = 0x83

# Longest wait for anything; far more than it takes.
PATIENCE = 60


def wait_until(condition, what="it", patience=PATIENCE):
    """Asks again and again until it is so, and returns what was answered."""
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} never became so"
        time.sleep(0.05)
    return answer


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Central:
    """A central with its admin listener. It may be killed and started again, on the same ledger."""

    def __init__(self, folder, agencies, admin_host="127.0.0.1", **settings):
        self.folder, self.agencies, self.admin_host = folder, agencies, admin_host
        self.settings = settings
        self.port, self.admin_port = free_port(), free_port()
        self.url = self.url_at("127.0.0.1")
        self.process = None

    def url_at(self, host):
        return f"http://{host}:{self.admin_port}/"

    def start(self):
        settings = {
            "SERVER_PORT": self.port, "SERVER_BIND": "127.0.0.1", "SERVER_AGENCIES": self.agencies,
            "SERVER_LISTEN_BACKLOG": 1024, "SERVER_STORAGE_PATH": self.folder / "bets.csv",
            "SERVER_ADMIN_ADDRESS": f"{self.admin_host}:{self.admin_port}",
        } | self.settings
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("SERVER_", "LOGGING_"))}
        environment |= {name: str(value) for name, value in settings.items()}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen([PROGRAMS / "server"], cwd=self.folder, env=environment,
                                            stdout=log, stderr=subprocess.STDOUT)
        wait_until(self.is_ready, "the central ready")
        return self

    def is_ready(self):
        assert self.process.poll() is None, (self.folder / "server.log").read_text()
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, name):
        """The value of a metric without labels."""
        lines = self.get("/metrics")[1].splitlines()
        [value] = [line.split()[1] for line in lines if line.startswith(name + " ")]
        return int(value)

    def status(self):
        return json.loads(self.get("/status.json")[1])

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None


class Agency:
    """An agency that is connected, and sends what it is told to."""

    def __init__(self, central, number):
        self.number, self.sent = number, 0
        self.stream = socket.create_connection(("127.0.0.1", central.port), timeout=PATIENCE)
        protocol.send(self.stream, protocol.HELLO, protocol.struct.pack("!BI", 1, number))
        body = protocol.receive(self.stream, protocol.WELCOME)
        self.sent = protocol.struct.unpack("!QIQB", body)[0]

    def send(self, bets, winning=0):
        """Sends so many bets, the first of them winning ones."""
        numbers = [WINNING_NUMBER] * winning + ["1"] * (bets - winning)
        fields = (["Ana", "Paz", str(30_000_000 + at), "1999-03-17", number]
                  for at, number in enumerate(numbers))
        rows = [b"".join(protocol.short(field) for field in bet) for bet in fields]
        for position, count, data in protocol.batches(rows, 0):
            protocol.send(self.stream, protocol.BATCH,
                          protocol.struct.pack("!QH", self.sent + position, count) + data)
            protocol.receive(self.stream, protocol.STORED)
        self.sent += bets
        return self

    def send_bad(self, bets):
        """Sends so many bets whose numbers are none: the batch is rejected as a whole."""
        rows = b"".join(b"".join(map(protocol.short, ["Ana", "Paz", "30000000", "1999-03-17", "x"])) for _ in range(bets))
        protocol.send(self.stream, protocol.BATCH, protocol.struct.pack("!QH", self.sent, bets) + rows)
        protocol.receive(self.stream, REJECTED)
        self.sent += bets
        return self

    def end(self):
        protocol.send(self.stream, protocol.END, protocol.struct.pack("!Q", self.sent))
        protocol.receive(self.stream, protocol.FINISHED)
        return self

    def close(self):
        self.stream.close()


class Stream:
    """A plain client of `/events`: a page without a browser."""

    def __init__(self, central):
        self.socket = socket.create_connection(("127.0.0.1", central.admin_port), timeout=PATIENCE)
        self.socket.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{central.admin_port}\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        status = self.file.readline()
        assert status.startswith(b"HTTP/1.1 200"), status

    def next(self):
        """The next event: its name and its data."""
        name = None
        for line in self.file:
            if line.startswith(b"event:"):
                name = line[6:].strip().decode()
            if line.startswith(b"data:") and name:
                return name, json.loads(line[5:])
        raise EOFError("the stream has ended")

    def until(self, condition):
        """Reads events until one is so."""
        while True:
            name, data = self.next()
            if condition(data):
                return name, data

    def close(self):
        self.file.close()
        self.socket.close()
