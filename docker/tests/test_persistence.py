"""The ledger: thrown away with its container, unless it is in a volume."""

import pytest


def bets_at_start(system):
    """How many bets each start of the server has found."""
    return [int(line.fields["bets"]) for line in system.log("server", action="open_ledger")
            if "bets" in line.fields]


@pytest.fixture
def lottery(system):
    system.write_agency(1, 40, 2)
    system.generate(1, "loteria")
    return system


def winners(system):
    [line] = system.log("client1", action="consulta_ganadores")
    return line.fields["cant_ganadores"]


def test_each_up_after_a_down_is_a_new_lottery(lottery):
    for _ in range(2):
        lottery.up()
        assert lottery.exit_codes() == [0]
        assert bets_at_start(lottery) == [0] and winners(lottery) == "2"
        assert len(lottery.log("server", action="sorteo")) == 1
        lottery.down()


def test_a_volume_keeps_the_lottery(lottery):
    lottery.files = ["-f", lottery.folder / "docker/persistent.yaml"]
    for found, draws in [(0, 1), (40, 0)]:
        lottery.up()
        assert lottery.exit_codes() == [0]
        assert bets_at_start(lottery) == [found] and winners(lottery) == "2"
        assert len(lottery.log("server", action="sorteo")) == draws
        lottery.down(volumes=False)


def test_a_stop_and_a_start_of_the_same_containers_is_the_same_lottery(lottery):
    lottery.up()
    assert lottery.exit_codes() == [0]
    lottery.compose("stop", "-t", "1")
    lottery.up()
    assert lottery.exit_codes() == [0]
    assert bets_at_start(lottery) == [0, 40]
    assert len(lottery.log("server", action="sorteo")) == 1
