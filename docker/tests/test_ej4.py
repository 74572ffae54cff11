"""Exercise 4: SIGTERM ends both programs in order."""

import time

import pytest

from system import checked, wait_until

# Docker's default between SIGTERM and SIGKILL, in seconds.
GRACE = 10


def closings(system, service):
    return {line.action for line in system.log(service)
            if line.action.startswith("close_") and line.result == "success"}


@pytest.fixture
def busy(system):
    """A system whose two agencies have work for minutes, and are in the middle of it."""
    system.configure_client(period="50ms", max_amount=1, level="DEBUG")
    for agency in (1, 2):
        system.write_agency(agency, 5000)
    system.generate(2, "loteria")
    system.up()
    for client in system.clients:
        system.wait_for_line(client, "action: batch_confirmado")
    return system


def test_a_server_without_clients(system):
    system.generate(0, "echo")
    system.up()
    system.wait_for_line("server", "action: listen")
    assert system.terminate("server") == [0]
    assert closings(system, "server") == {"close_listener", "close_ledger"}


# Those that ask for the end. In a container both programs are the first process, which hears only
# signals that it handles.
STOPS = ["TERM", "INT", "QUIT", "PWR", "XCPU", "ALRM"]


@pytest.mark.parametrize("signal", STOPS)
def test_each_signal_that_asks_for_the_end(system, signal):
    system.configure_client(amount=1000, period="1h")
    system.generate(1, "echo")
    system.up()
    system.wait_for_line("client1", "action: receive_message")
    for name in ("client1", "server"):
        checked("docker", "kill", "-s", signal, name)
        assert system.exit_codes(name) == [0]
        [line] = system.log(name, action="shutdown")
        assert line.fields["cause"] == f"SIG{signal}"


def test_a_server_with_clients(busy):
    assert busy.terminate("server") == [0]
    assert closings(busy, "server") == {"close_listener", "close_connection", "close_ledger"}
    assert len(busy.log("server", action="close_connection")) >= 2


def test_clients(busy):
    assert busy.terminate(*busy.clients) == [0, 0]
    for client in busy.clients:
        assert closings(busy, client) == {"close_connection", "close_file"}
        assert not busy.log(client, action="consulta_ganadores")


def test_both_by_compose_within_the_grace_period(busy):
    begun = time.monotonic()
    busy.compose("stop", "-t", GRACE)
    assert time.monotonic() - begun < GRACE, "no container had to be killed"
    states = checked("docker", "inspect", "--format", "{{.State.ExitCode}}", "server", "client1",
                     "client2")
    assert states.split() == ["0", "0", "0"]


def test_an_echo_client_between_two_messages(system):
    system.configure_client(amount=1000, period="1h")
    system.generate(1, "echo")
    system.up()
    system.wait_for_line("client1", "action: receive_message")
    assert system.terminate("client1") == [0]
    assert not system.log("client1", action="loop_finished")


@pytest.mark.parametrize("mode", ["echo", "apuesta", "loteria"])
def test_a_client_whose_name_server_is_silent(system, mode):
    system.configure_client(address="central.example:12345")
    system.write_agency(1, 10)
    system.generate(1, mode)
    path = system.folder / "docker-compose-dev.yaml"
    # An address that is reserved for documentation: no host has it.
    path.write_text(path.read_text().replace(
        "    image: client:latest\n", "    image: client:latest\n    dns: 192.0.2.1\n"))
    system.up()
    looking_up = "connection: looking_up"

    def asks():
        checked("docker", "kill", "-s", "USR1", "client1")
        return looking_up in system.log_text("client1")

    wait_until(asks)
    begun = time.monotonic()
    checked("docker", "stop", "-t", GRACE, "client1")
    assert time.monotonic() - begun < GRACE, "it had to be killed"
    assert system.exit_codes("client1") == [0]
    assert system.log("client1", action="shutdown")


def test_a_client_that_holds_its_result_back_logs_it(system):
    system.configure_client(amount=1)
    system.generate(1, "echo")
    path = system.folder / "docker-compose-dev.yaml"
    path.write_text(path.read_text().replace("CLI_ANNOUNCE_DELAY=3s", "CLI_ANNOUNCE_DELAY=1h"))
    system.up()
    system.wait_for_line("client1", "action: receive_message")
    assert system.terminate("client1") == [0]
    assert len(system.log("client1", action="loop_finished")) == 1
