"""Exercise 6: batches of at most `batch.maxAmount` bets and 8 KiB."""

import pytest

COUNTS = {1: 16, 2: 21, 3: 64, 4: 99}
MOST_BYTES = 8192


def batches(system):
    """Bets and bytes of each batch that the server has received, by agency."""
    received = {}
    for line in system.log("server", action="receive_batch"):
        sizes = int(line.fields["cantidad"]), int(line.fields["bytes"])
        received.setdefault(int(line.fields["agency"]), []).append(sizes)
    return received


@pytest.mark.parametrize("max_amount", [1, 7, 16, 33, 100])
def test_every_batch_but_the_last_is_full(system, max_amount):
    system.configure_server(LOGGING_LEVEL="DEBUG")
    system.configure_client(max_amount=max_amount)
    for agency, count in COUNTS.items():
        system.write_agency(agency, count)
    system.run_to_end(len(COUNTS), "loteria")
    received = batches(system)
    for agency, count in COUNTS.items():
        full, rest = divmod(count, max_amount)
        assert [bets for bets, _ in received[agency]] == [max_amount] * full + [rest] * (rest > 0)
    taken = system.log("server", action="apuesta_recibida")
    assert all(line.result == "success" for line in taken)
    assert sorted(int(line.fields["cantidad"]) for line in taken) == sorted(
        bets for sizes in received.values() for bets, _ in sizes)
    assert sum(int(line.fields["cantidad"]) for line in taken) == sum(COUNTS.values())
    assert max(size for sizes in received.values() for _, size in sizes) <= MOST_BYTES


def test_no_batch_is_larger_than_8_kib_however_many_bets_it_may_have(system):
    system.configure_server(LOGGING_LEVEL="DEBUG")
    system.configure_client(max_amount=60000)
    system.write_agency(1, 500, last_name="de la " * 40)
    system.run_to_end(1, "loteria")
    sizes = batches(system)[1]
    assert sum(bets for bets, _ in sizes) == 500
    widest = sizes[0][1] // sizes[0][0]
    assert all(MOST_BYTES - 2 * widest < size <= MOST_BYTES for _, size in sizes[:-1])


def test_a_batch_with_a_bad_bet_is_refused_whole_and_the_rest_is_stored(system):
    system.configure_client(max_amount=10)
    rows = system.write_agency(1, 30)
    path = system.folder / ".data/agency-1.csv"
    path.write_text(path.read_text().replace(rows[15][2], "no-number"))
    system.generate(1, "loteria")
    system.up()
    assert system.exit_codes() == [1]
    [line] = system.log("client1", action="check_data")[:1]
    assert (line.result, line.fields["line"], line.fields["field"]) == ("fail", "16", "document")
    assert system.log("server", action="apuesta_recibida") == [], "nothing was sent"
    system.down()
    compose = system.folder / "docker-compose-dev.yaml"
    compose.write_text(compose.read_text().replace(
        "- CLI_ID=1", "- CLI_ID=1\n      - CLI_DATA_CHECK=off"))
    system.up()
    assert system.exit_codes() == [1]
    taken = [(line.result, line.fields["cantidad"])
             for line in system.log("server", action="apuesta_recibida")]
    assert taken == [("success", "10"), ("fail", "10"), ("success", "10")]
