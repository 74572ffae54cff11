"""Exercise 3: a script that checks the echo server with netcat, from the inside of the network."""

import pytest

from system import NETWORK, checked, run, wait_until

SUCCESS = "action: test_echo_server | result: success\n"
FAIL = "action: test_echo_server | result: fail\n"


def verdict(system, shell="sh"):
    result = run(shell, "validar-echo-server.sh", cwd=system.folder)
    return result.stdout, result.returncode


@pytest.fixture
def network():
    checked("docker", "network", "create", NETWORK)
    yield
    checked("docker", "network", "rm", NETWORK)


@pytest.fixture
def listening(network):
    """Starts another server: a command for each connection, behind netcat."""
    started = []

    def start(*command, port=12345):
        serve = 'while true; do nc -l -p "$0" -e "$@"; done'
        started.append(checked("docker", "run", "-d", "--network", NETWORK, "--network-alias",
                               "server", "busybox:latest", "sh", "-c", serve, port,
                               *command).strip())
        listens = f"{port:04X} 00000000:0000 0A"
        wait_until(lambda: listens in checked("docker", "exec", started[-1], "cat",
                                              "/proc/net/tcp", "/proc/net/tcp6")
                   .replace("00000000000000000000000000000000:0000", "00000000:0000"))

    yield start
    for container in started:
        checked("docker", "rm", "-f", container)


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("port", [12345, 23456])
def test_our_server_succeeds(system, shell, port):
    system.configure_server(SERVER_PORT=port)
    system.generate(0, "echo")
    system.up()
    system.wait_for_line("server", "action: listen")
    assert verdict(system, shell) == (SUCCESS, 0)
    assert not run("docker", "port", "server").stdout, "no port is published"


def test_our_server_that_has_ended_fails(system):
    system.generate(0, "echo")
    system.up()
    system.wait_for_line("server", "action: listen")
    assert system.terminate("server") == [0]
    assert verdict(system) == (FAIL, 1)


@pytest.mark.parametrize("command", [
    ["cat"],
    ["sh", "-c", "cat > /tmp/all; cat /tmp/all"],
    ["sh", "-c", "read line; sleep 1; echo \"$line\"; sleep 1000"],
    ["sh", "-c", "read line; printf %s \"$line\""],
], ids=["keeps the connection", "answers at the end", "slow, never closes", "no newline"])
def test_any_echo_server_succeeds(system, listening, command):
    listening(*command)
    assert verdict(system) == (SUCCESS, 0)


@pytest.mark.parametrize("command", [
    ["sh", "-c", "read line; echo \"$line.\""],
    ["sh", "-c", "read line; printf \"$line\\n$line\\n\""],
    ["sh", "-c", "read line; echo"],
    ["true"],
    ["sleep", "1000"],
], ids=["differs", "too much", "empty line", "closes", "silent"])
def test_what_is_no_echo_fails(system, listening, command):
    listening(*command)
    assert verdict(system) == (FAIL, 1)


def test_another_port_than_the_configured_one_fails(system, listening):
    listening("cat", port=23456)
    assert verdict(system) == (FAIL, 1)


def test_no_server_fails(system, network):
    assert verdict(system) == (FAIL, 1)


def test_no_network_fails(system):
    assert verdict(system) == (FAIL, 1)
