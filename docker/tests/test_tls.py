"""The lottery over TLS: one system, started by make, and what comes after the draw; and the keys that
an image takes."""

import csv
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from system import (COMPOSE_FILE, REPOSITORY, WINNING_NUMBER, System, checked, copy_repository, run,
                    wait_until)

AGENCIES, BETS = 2, 300
PORT = 12345
# The user that the images' programs run as.
USER = 65532
# The content types of RFC 8446, section 5.1, and the longest record that it allows.
CONTENT_TYPES, APPLICATION_DATA = range(20, 24), 23
MOST_BYTES = (1 << 14) + 256


class Capture:
    """What goes over the port of the lottery on any network of this machine, while it is entered."""

    def __init__(self, folder):
        self.path, self.messages = folder / "lottery.pcap", folder / "messages"

    def __enter__(self):
        self.output = open(self.messages, "w")
        self.process = subprocess.Popen(
            # A slot of the buffer has room for the largest packet, so that there are few of them.
            ["tcpdump", "-U", "--immediate-mode", "-s", "65535", "-B", "65536", "-i", "any", "-w",
             self.path, f"tcp port {PORT}"], stderr=self.output)
        wait_until(lambda: "listening on" in self.messages.read_text())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.output.close()

    def streams(self):
        """The bytes of each direction of each connection. A packet is seen on several interfaces."""
        text = checked("tshark", "-r", self.path, "-o", "tcp.relative_sequence_numbers:TRUE",
                       "-Y", "tcp.len > 0", "-T", "fields", "-e", "tcp.stream", "-e", "tcp.srcport",
                       "-e", "tcp.seq", "-e", "tcp.payload")
        segments = {}
        for line in text.splitlines():
            stream, source, sequence, payload = line.split("\t")
            direction = segments.setdefault((stream, source == str(PORT)), {})
            direction[int(sequence)] = bytes.fromhex(payload.replace(":", ""))
        return {key: joined(found) for key, found in segments.items()}


def joined(segments):
    """The bytes from sequence number 1 on, without what was sent again."""
    stream = b""
    for sequence, payload in sorted(segments.items()):
        assert sequence <= 1 + len(stream), "a segment is missing"
        stream = stream[:sequence - 1] + payload
    return stream


def records(stream):
    """The content types of a stream of TLS records, which it must be to its last byte."""
    found = []
    while stream:
        assert len(stream) >= 5, stream
        content_type, version = stream[0], stream[1:3]
        length = int.from_bytes(stream[3:5], "big")
        assert content_type in CONTENT_TYPES and version in (b"\x03\x01", b"\x03\x03"), stream[:16]
        assert 0 < length <= MOST_BYTES and len(stream) >= 5 + length, stream[:16]
        found.append(content_type)
        stream = stream[5 + length:]
    return found


class Lottery(System):
    """A whole lottery over TLS that make has started, and what was seen of it."""

    def __init__(self, folder):
        super().__init__(copy_repository(folder))
        self.tls = self.folder / ".tls"
        self.capture = Capture(folder.parent)

    def start(self):
        self.generate(AGENCIES, "loteria")
        with self.capture:
            checked("make", "docker-compose-up", "TLS=1", "PERSISTENT=1", f"DATASET_BETS={BETS}",
                    "SEED=9", cwd=self.folder)
            self.files = ["-f", self.folder / "docker/persistent.yaml",
                          "-f", self.tls / "compose.yaml"]
            assert self.exit_codes() == [0] * AGENCIES, self.log_text()

    def authority(self, *arguments):
        """A command of `pki`, behind which the containers' folders are made anew."""
        return checked("docker/tls.sh", COMPOSE_FILE, *arguments, cwd=self.folder)

    def bets(self, agency):
        with open(self.folder / f".data/agency-{agency}.csv", newline="") as file:
            return list(csv.reader(file))


@pytest.fixture(scope="module")
def lottery(tmp_path_factory):
    lottery = Lottery(tmp_path_factory.mktemp("tls") / "clone")
    try:
        lottery.start()
        yield lottery
    finally:
        lottery.down()


def test_every_agency_gets_its_winners(lottery):
    lines = lottery.log()
    for agency in range(1, AGENCIES + 1):
        rows = lottery.bets(agency)
        winners = sum(row[4] == str(WINNING_NUMBER) for row in rows)
        [line] = [line for line in lines if line.container == f"client{agency}"
                  and line.action == "consulta_ganadores"]
        assert (len(rows), line.fields["cant_ganadores"]) == (BETS, str(winners))
    assert [line.action for line in lines].count("sorteo") == 1
    [opened] = [line for line in lines if line.action == "open_ledger" and "path" in line.fields]
    assert opened.fields["path"] == "/ledger/bets.csv", "PERSISTENT=1 goes with TLS=1"


def test_on_the_wire_there_are_tls_records_alone(lottery):
    streams = lottery.capture.streams()
    assert len(streams) >= 2 * AGENCIES, "there and back, of each agency"
    for stream in streams.values():
        assert APPLICATION_DATA in records(stream)
    wire = lottery.capture.path.read_bytes()
    for agency in range(1, AGENCIES + 1):
        documents = [row[2] for row in lottery.bets(agency)]
        assert [document for document in documents if document.encode() in wire] == []


def test_the_health_check_needs_no_certificate(lottery):
    assert checked("docker", "exec", "server", "/server", "healthcheck") == "healthy\n"


def test_a_container_sees_its_own_folder_alone(lottery):
    for name in ["server", *lottery.clients]:
        [found] = json.loads(checked("docker", "inspect", name))
        sources = [Path(mount["Source"]) for mount in found["Mounts"] if not mount["RW"]]
        own = lottery.tls / name.replace("client", "agency-")
        assert [source for source in sources if source.is_relative_to(lottery.tls)] == [own]
        keys = [path.name for path in own.iterdir() if path.suffix == ".key"]
        assert keys == [f"{own.name}.key"]
        key = (own / keys[0]).stat()
        assert (key.st_uid, key.st_mode & 0o777) == (USER, 0o600)


def test_the_echo_test_says_why_it_fails(lottery):
    result = run("sh", "validar-echo-server.sh", cwd=lottery.folder)
    assert (result.returncode, result.stdout) == (1, "action: test_echo_server | result: fail\n")
    assert "the server answered error: " in result.stderr and "SERVER_TLS=required" in result.stderr


def test_a_running_server_takes_a_revocation_and_an_agency_its_new_certificate(lottery):
    lottery.authority("revoke", ".tls/authority/agency-2.pem")
    lottery.compose("kill", "-s", "HUP", "server")
    lottery.wait_for_line("server", "action: reload | result: success")
    lottery.compose("start", "client2")
    assert lottery.exit_codes("client2") == [1]
    errors = [line.fields["error"] for line in lottery.log("client2", action="run")
              if line.result == "fail"]
    assert len(errors) == 1 and "revoked" in errors[0], errors
    for path in (lottery.tls / "authority").glob("agency-2.*"):
        path.rename(path.with_suffix(".old" + path.suffix))
    lottery.authority()
    lottery.compose("start", "client2")
    assert lottery.exit_codes("client2") == [0]


def test_a_key_may_be_a_mounted_secret(lottery):
    secret = lottery.folder / "secret.yaml"
    secret.write_text("""services:
  client1:
    environment:
      - CLI_TLS_KEY=/run/secrets/agency-1
    secrets:
      - agency-1
secrets:
  agency-1:
    file: ./.tls/agency-1/agency-1.key
""")
    before = lottery.files
    lottery.files = [*before, "-f", secret]
    try:
        lottery.up("client1")
        assert lottery.exit_codes("client1") == [0]
    finally:
        lottery.files = before


@pytest.mark.parametrize("mode, complaint", [
    (0o644, "0644"), (0o600, f"runs as user {USER}, who must be able to read it")])
@pytest.mark.parametrize("image, prefix, certificate, authority", [
    ("server", "SERVER_TLS", "server", "CLIENT_CA"), ("client", "CLI_TLS", "agency-1", "CA")])
def test_a_key_that_others_can_read_is_refused_and_one_that_the_user_can_not(
        lottery, tmp_path, image, prefix, certificate, authority, mode, complaint):
    for name in ("ca.pem", f"{certificate}.pem", f"{certificate}.key"):
        shutil.copy(lottery.tls / "authority" / name, tmp_path)
    (tmp_path / f"{certificate}.key").chmod(mode)
    tmp_path.chmod(0o755)
    files = {"CERT": f"{certificate}.pem", "KEY": f"{certificate}.key", authority: "ca.pem"}
    settings = [f"{prefix}_{name}=/tls/{file}" for name, file in files.items()]
    settings += ["SERVER_TLS=required", "CLI_TLS=on", "CLI_ID=1", "CLI_SERVER_ADDRESS=server:1"]
    result = run("docker", "run", "--rm", "--network", "none", "-v", f"{tmp_path}:/tls:ro",
                 *[part for setting in settings for part in ("-e", setting)], f"{image}:latest")
    assert result.returncode != 0
    assert f"{prefix}_KEY" in result.stdout and complaint in result.stdout, result.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="all these tests are run by an ordinary user")
def test_an_ordinary_user_may_make_and_remove_all_of_it():
    user, socket = 12345, os.stat("/var/run/docker.sock")
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={socket.st_gid}"]
    folder = Path(tempfile.mkdtemp())
    try:
        System(folder).generate(1, "echo")
        os.chown(folder, user, user)
        checked(*as_user, "sh", "-c", "umask 077; exec \"$@\"", "sh", REPOSITORY / "docker/tls.sh",
                COMPOSE_FILE, cwd=folder, env=os.environ | {"HOME": str(folder)})
        owners = {name: (folder / ".tls" / name).stat().st_uid for name in (
            "authority/private/ca.key", "authority/agency-1.key", "agency-1/agency-1.key",
            "server/server.key")}
        assert list(owners.values()) == [user, user, USER, USER]
        checked(*as_user, "rm", "-r", folder / ".tls")
    finally:
        shutil.rmtree(folder)
