"""Several centrals and an etcd of three members, as the generator writes them with CENTRALS=3."""

import csv
import io
import json
import socket
import urllib.request

import pytest
import yaml

from system import (COMPOSE_FILE, REPOSITORY, System, checked, copy_repository, run, wait_until)

CENTRALS = ["server", "server2", "server3"]
MEMBERS = ["etcd1", "etcd2", "etcd3"]


@pytest.fixture(scope="module")
def image():
    checked("docker/images.sh", "etcd:docker/etcd", cwd=REPOSITORY, timeout=600)


@pytest.fixture(autouse=True)
def three_centrals(monkeypatch):
    monkeypatch.setenv("CENTRALS", "3")


def test_the_generator_writes_centrals_members_and_agencies_that_know_all_centrals(system):
    system.generate(2, "loteria")
    services = yaml.safe_load((system.folder / COMPOSE_FILE).read_text())["services"]
    assert list(services) == CENTRALS + MEMBERS + ["client1", "client2"]
    for name in CENTRALS:
        assert "SERVER_ETCD_ENDPOINTS=etcd1:2379,etcd2:2379,etcd3:2379" in services[name]["environment"]
        assert list(services[name]["depends_on"]) == MEMBERS
    for name in ["client1", "client2"]:
        known = "CLI_SERVER_ADDRESS=server:12345,server2:12345,server3:12345"
        assert known in services[name]["environment"]


@pytest.mark.parametrize("centrals", ["0", "10", "three"])
def test_a_bad_number_of_centrals_is_refused(system, monkeypatch, centrals):
    monkeypatch.setenv("CENTRALS", centrals)
    result = run("./generar-compose.sh", COMPOSE_FILE, "2", "loteria", cwd=system.folder)
    assert result.returncode == 1
    assert f"CENTRALS, of the environment: expected a number, 1 to 9, found '{centrals}'" in result.stderr


def test_a_central_and_a_member_are_killed_and_the_lottery_goes_on(system, image):
    system.configure_client(level="DEBUG", max_amount=20)
    rows = {agency: system.write_agency(agency, 4000, agency) for agency in range(1, 6)}
    system.generate(5, "loteria")
    system.up()
    system.wait_for_line("client2", "batch_confirmado")
    checked("docker", "kill", "server2", "etcd1")
    assert system.exit_codes() == [0] * 5, system.log_text()
    winners = {line.container: line.fields["cant_ganadores"]
               for line in system.log(*system.clients, action="consulta_ganadores")}
    assert winners == {f"client{agency}": str(agency) for agency in rows}
    for central in ["server", "server3"]:
        assert len(system.log(central, action="sorteo")) == 1, system.log_text(central)
    exported = checked("docker", "exec", "server", "/server", "export", "-")
    stored = list(csv.reader(io.StringIO(exported)))
    for agency, sent in rows.items():
        expected = [[str(agency), *map(str, row)] for row in sent]
        assert [row for row in stored if row[0] == str(agency)] == expected


def free_ports(count):
    """Ports of this machine's loopback that nothing listens at."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Clone(System):
    """A lottery of three centrals that make starts, with everything that can be put on top."""

    EVERYTHING = ["PERSISTENT=1", "TLS=1", "MONITORING=1"]

    def __init__(self, folder, page, prometheus):
        super().__init__(copy_repository(folder))
        self.page, self.prometheus = page, prometheus

    def make(self, target, *arguments):
        return checked("make", target, *self.EVERYTHING, f"ADMIN={self.page}",
                       f"PROMETHEUS_PORT={self.prometheus}", *arguments, cwd=self.folder, timeout=600)

    def targets(self):
        """The centrals that Prometheus scrapes, as far as they answer."""
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/targets"
        try:
            with urllib.request.urlopen(url) as answer:
                found = json.load(answer)["data"]["activeTargets"]
        except OSError:
            return []
        return sorted(target["labels"]["instance"] for target in found if target["health"] == "up")

    def status(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/status.json") as answer:
            return json.load(answer)

    def results(self):
        return {line.container: line.fields["cant_ganadores"]
                for line in self.log(*self.clients, action="consulta_ganadores")}


@pytest.fixture
def clone(tmp_path):
    clone = Clone(tmp_path / "clone", *free_ports(2))
    try:
        yield clone
    finally:
        clone.files = ["-f", clone.folder / "docker/persistent-etcd.yaml"]
        clone.down()


def test_everything_that_goes_with_one_central_goes_with_three(clone):
    rows = {agency: clone.write_agency(agency, 300, agency) for agency in (1, 2)}
    clone.generate(2, "loteria")
    clone.make("docker-compose-up")
    assert clone.exit_codes() == [0, 0], clone.log_text()
    expected = {f"client{agency}": str(agency) for agency in rows}
    assert clone.results() == expected
    for central in CENTRALS:
        [found] = json.loads(checked("docker", "inspect", central))
        mounted = {mount["Destination"]: mount["Source"] for mount in found["Mounts"]}
        assert mounted["/lottery/tls"] == str(clone.folder / ".tls/server")
        assert "SERVER_TLS=required" in found["Config"]["Env"]
    wait_until(lambda: clone.targets() == ["server2:8080", "server3:8080", "server:8080"])
    wait_until(lambda: clone.status()["lottery"]["stored"] == 600)

    clone.make("docker-compose-down")
    clone.make("docker-compose-up")
    assert clone.exit_codes() == [0, 0], clone.log_text()
    assert clone.results() == expected, "the draw was held before"
    exported = checked("docker", "exec", "server", "/server", "export", "-")
    assert len(list(csv.reader(io.StringIO(exported)))) == 600


def test_a_certificate_that_was_made_for_one_central_is_renewed_for_three(clone, monkeypatch):
    monkeypatch.setenv("CENTRALS", "1")
    clone.generate(1, "loteria")
    checked("docker/tls.sh", COMPOSE_FILE, cwd=clone.folder)
    issued = clone.folder / ".tls/authority/issued.csv"
    assert ",server,server localhost," in issued.read_text()
    monkeypatch.setenv("CENTRALS", "3")
    clone.generate(1, "loteria")
    for _ in range(2):
        checked("docker/tls.sh", COMPOSE_FILE, cwd=clone.folder)
    servers = [line for line in issued.read_text().splitlines() if ",server," in line]
    assert len(servers) == 2 and ",server,server server2 server3 localhost," in servers[1]
    services = yaml.safe_load((clone.folder / ".tls/compose.yaml").read_text())["services"]
    assert list(services) == CENTRALS + ["client1"]
