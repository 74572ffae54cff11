"""Several centrals and an etcd of three members, as the generator writes them with CENTRALS=3."""

import csv
import io

import pytest
import yaml

from system import COMPOSE_FILE, REPOSITORY, checked, run

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
