"""`docker pause`: what stands still for longer than all its time-outs cuts nobody off afterwards."""

import time

import pytest

from system import checked, wait_until

# Every time-out of the server, and how long it stands still, in seconds.
TIMEOUT = 1
PAUSE = 3

BETS = 100


@pytest.fixture
def busy(system):
    """Two agencies in the middle of their bets, which they send one by one, for some seconds."""
    names = ("FIRST_BYTE", "FRAME", "IDLE", "WRITE", "LINGER")
    system.configure_server(**{f"SERVER_{name}_TIMEOUT": f"{TIMEOUT}s" for name in names})
    system.configure_client(period="50ms", max_amount=1)
    for agency in (1, 2):
        system.write_agency(agency, BETS, 1)
    system.generate(2, "loteria")
    system.up()
    wait_until(lambda: len(system.log("server", action="apuesta_recibida")) > 10)
    return system


def status(name):
    return checked("docker", "inspect", "--format", "{{.State.Status}}", name).strip()


@pytest.mark.parametrize("paused", [["server"], ["client1"], ["server", "client1", "client2"]])
def test_who_was_paused_goes_on_and_nobody_is_cut_off(busy, paused):
    checked("docker", "pause", *paused)
    assert {status(name) for name in paused} == {"paused"}, "it was in the middle of it"
    time.sleep(PAUSE)
    checked("docker", "unpause", *paused)
    assert busy.exit_codes() == [0, 0]
    for client in busy.clients:
        [line] = busy.log(client, action="consulta_ganadores")
        assert (line.result, line.fields["cant_ganadores"]) == ("success", "1")
    assert len(busy.log("server", action="sorteo")) == 1
    stored = [line for line in busy.log("server", action="apuesta_recibida")
              if line.result == "success"]
    assert len(stored) == 2 * BETS
    lost = [line for line in busy.log("server")
            if line.action in ("lose_agency", "refuse_connection") or line.result == "fail"]
    retried = [line for line in busy.log(*busy.clients) if line.result == "fail"]
    assert not lost + retried
