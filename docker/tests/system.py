"""The whole system in containers, as a person of the course runs it: files on the host, the
generator, compose. Knows nothing about the programs but their log lines and files."""

import csv
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE_FILE = "docker-compose-dev.yaml"
NETWORK = "tp0_testing_net"
WINNING_NUMBER = 7574

# Longest wait for anything; far more than it takes.
PATIENCE = 120

# `make docker-test` starts these tests, and a make under a make writes other lines than a person's.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)


def run(*arguments, **options):
    """Runs a program to its end and returns its result."""
    options = {"capture_output": True, "text": True, "timeout": PATIENCE} | options
    return subprocess.run([str(argument) for argument in arguments], **options)


def checked(*arguments, **options):
    """The same, for what must succeed."""
    result = run(*arguments, **options)
    assert result.returncode == 0, (arguments, result.stdout, result.stderr)
    return result.stdout


def copy_repository(folder):
    """The files of this work tree, in a folder that is made for them."""
    folder.mkdir()
    files = checked("git", "ls-files", cwd=REPOSITORY).splitlines()
    checked("sh", "-c", f"cd '{REPOSITORY}' && tar -c -T - | tar -x -C '{folder}'",
            input="\n".join(name for name in files if (REPOSITORY / name).exists()))
    return folder


def wait_until(condition):
    """Asks again and again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.1)


def containers():
    """Names of the containers of a system that is up, or was and hasn't been taken down."""
    label = "label=com.docker.compose.project=tp0"
    return checked("docker", "ps", "-a", "--filter", label, "--format", "{{.Names}}").split()


def networks():
    """The system's network, when it is there."""
    return checked("docker", "network", "ls", "--filter", f"name=^{NETWORK}$", "--format",
                   "{{.Name}}").split()


@dataclass
class Line:
    """One log line: which container, how important, and its keys in their order."""
    container: str
    level: str
    fields: dict = field(default_factory=dict)

    @property
    def action(self):
        return self.fields.get("action")

    @property
    def result(self):
        return self.fields.get("result")


LOG_LINE = re.compile(r"^(\S+) +\| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d (\w+) +(action: .*)$")


def parse(text):
    """The line, or None when it isn't one of the programs'."""
    match = LOG_LINE.match(text)
    if not match:
        return None
    container, level, rest = match.groups()
    return Line(container, level, dict(part.split(": ", 1) for part in rest.split(" | ")))


class System:
    """Files in a folder of its own, and the containers that are made of them."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("generar-compose.sh", "validar-echo-server.sh", "docker/mode",
                     "docker/persistent.yaml", "server/config.ini", "client/config.yaml"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
        (folder / ".data").mkdir(exist_ok=True)
        self.agencies = 0
        self.files = []

    # Configuration and input

    def configure_server(self, **values):
        values = {"SERVER_PORT": 12345, "SERVER_IP": "server", "SERVER_LISTEN_BACKLOG": 5,
                  "LOGGING_LEVEL": "INFO"} | values
        lines = ["[DEFAULT]"] + [f"{key} = {value}" for key, value in values.items()]
        (self.folder / "server/config.ini").write_text("\n".join(lines) + "\n")

    def configure_client(self, address="server:12345", amount=5, period="0s", level="INFO",
                         max_amount=100):
        (self.folder / "client/config.yaml").write_text(
            f'server:\n  address: "{address}"\nloop:\n  amount: {amount}\n  period: "{period}"\n'
            f'log:\n  level: "{level}"\nbatch:\n  maxAmount: {max_amount}\n')

    def write_agency(self, agency, bets, winners=0, last_name="Paz"):
        """An agency's file; the last `winners` of its bets win. Returns the rows."""
        rows = [["Ana, la de \"Íñigo\"", last_name, f"{agency}{index:07}", "1984-02-29",
                 WINNING_NUMBER if index >= bets - winners else index % WINNING_NUMBER]
                for index in range(bets)]
        with open(self.folder / f".data/agency-{agency}.csv", "w", newline="") as file:
            csv.writer(file).writerows(rows)
        return rows

    def generate(self, agencies, mode):
        self.agencies = agencies
        checked("./generar-compose.sh", COMPOSE_FILE, agencies, mode, cwd=self.folder)

    # Containers

    def compose_command(self, *arguments):
        """The command that runs compose on this system's files."""
        return [REPOSITORY / "docker/compose.sh", self.folder / COMPOSE_FILE, *self.files, *arguments]

    def compose(self, *arguments, **options):
        return checked(*self.compose_command(*arguments), **options)

    @property
    def clients(self):
        return [f"client{agency}" for agency in range(1, self.agencies + 1)]

    def up(self, *services):
        self.compose("up", "-d", *services)

    def down(self, volumes=True):
        if (self.folder / COMPOSE_FILE).exists():
            self.compose("down", "-t", "1", "--remove-orphans", *(["-v"] if volumes else []))

    def exit_codes(self, *names):
        """Waits until the containers have ended: all clients, unless named."""
        return [int(code) for code in checked("docker", "wait", *(names or self.clients)).split()]

    def started_at(self, name):
        """When a container was started, in seconds since 1970."""
        text = checked("docker", "inspect", "--format", "{{.State.StartedAt}}", name).strip()
        # Docker writes nanoseconds, Python takes microseconds.
        return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()

    def terminate(self, *names):
        """SIGTERM, and the exit codes."""
        checked("docker", "kill", "-s", "TERM", *names)
        return self.exit_codes(*names)

    def log_text(self, *services):
        return self.compose("logs", "--no-color", *services)

    def log(self, *services, action=None):
        """The lines of some services, or all; of one action, or all."""
        lines = [parse(text) for text in self.log_text(*services).splitlines()]
        return [line for line in lines if line and action in (None, line.action)]

    def wait_for_line(self, service, text):
        """Follows a service's log until a line has this text in it."""
        command = [str(part) for part in self.compose_command("logs", "-f", "--no-color", service)]
        with subprocess.Popen(["timeout", str(PATIENCE), *command], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as follower:
            try:
                assert any(text in line for line in follower.stdout), f"{service} never says {text}"
            finally:
                follower.terminate()

    def run_to_end(self, agencies, mode):
        """Generates, starts, and waits for all clients, which must succeed."""
        self.generate(agencies, mode)
        self.up()
        assert self.exit_codes() == [0] * agencies, self.log_text()
