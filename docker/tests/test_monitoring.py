"""Prometheus beside the lottery, as the overlay starts it."""

import json
import socket
import urllib.request

import pytest
import yaml

from system import (COMPOSE_FILE, REPOSITORY, checked, containers, copy_repository, run,
                    wait_until)

RULES = REPOSITORY / "docker/prometheus/loteria.rules.yaml"


@pytest.fixture(scope="module")
def image():
    checked("docker/images.sh", "prometheus:docker/prometheus", cwd=REPOSITORY, timeout=600)


@pytest.fixture
def port(monkeypatch):
    """A free port, which Prometheus is to be published at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("PROMETHEUS_PORT", str(port))
    return port


def get(port, resource):
    """The data of an answer of Prometheus', or None when there is none yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{resource}") as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


def value(port, name):
    """The value of a metric, once it is there."""
    found = (get(port, f"query?query={name}") or {}).get("result")
    return found[0]["value"][1] if found else None


def alarms(text):
    [group] = yaml.safe_load(text)["groups"]
    return [rule["alert"] for rule in group["rules"]]


def test_the_overlay_adds_a_prometheus_with_these_alarms(system, image, port):
    system.generate(0, "echo")
    system.files = ["-f", REPOSITORY / "docker/monitoring.yaml"]
    system.up("prometheus")
    wait_until(lambda: (get(port, "targets") or {}).get("activeTargets"))
    [group] = get(port, "rules")["groups"]
    assert [rule["name"] for rule in group["rules"]] == alarms(RULES.read_text())
    [target] = get(port, "targets")["activeTargets"]
    assert target["labels"] == {"instance": "server:8080", "job": "loteria"}
    [found] = json.loads(checked("docker", "inspect", "prometheus"))
    assert found["Config"]["User"] not in ("", "0", "root")
    assert found["HostConfig"]["PortBindings"] == {
        "9090/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}


def test_make_starts_it_beside_a_central_that_it_scrapes_and_publishes_the_page(tmp_path, port):
    """Of the page the port is said, and it is on the host's loopback alone."""
    clone = copy_repository(tmp_path / "clone")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        page = listener.getsockname()[1]
    try:
        checked("./generar-compose.sh", COMPOSE_FILE, 1, "loteria", cwd=clone)
        output = checked("make", "docker-compose-up", "DATASET_BETS=50", "MONITORING=1",
                         f"ADMIN={page}", cwd=clone, timeout=600)
        assert output.splitlines()[-1] == f"the page: http://127.0.0.1:{page}/"
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/healthz") as answer:
            assert answer.read() == b"ok\n"
        wait_until(lambda: value(port, "loteria_draw_done") == "1")
        assert value(port, "loteria_bets_stored_total") == "50"
        assert get(port, "alerts")["alerts"] == []
        [found] = json.loads(checked("docker", "inspect", "server"))
        assert found["HostConfig"]["PortBindings"] == {
            "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(page)}]}
    finally:
        run("make", "docker-compose-down", cwd=clone)


def test_down_removes_it_with_the_others(system, image, port):
    system.generate(0, "echo")
    system.files = ["-f", REPOSITORY / "docker/monitoring.yaml"]
    system.up("prometheus")
    assert containers() == ["prometheus"]
    system.files = []
    system.down()
    assert containers() == []
