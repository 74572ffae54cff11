"""Exercise 5: each agency sends one bet, taken from its environment."""

import csv
import io

from system import checked


def test_what_an_agency_sends_is_what_is_stored(system):
    system.run_to_end(5, "apuesta")
    sent = [(line.fields["dni"], line.fields["numero"])
            for line in system.log(*system.clients, action="apuesta_enviada")
            if line.result == "success"]
    stored = [(line.fields["dni"], line.fields["numero"])
              for line in system.log("server", action="apuesta_almacenada")
              if line.result == "success"]
    assert len(set(sent)) == 5
    assert sorted(sent) == sorted(stored)
    assert ("30904465", "7574") in stored
    rows = list(csv.reader(io.StringIO(ledger(system))))
    assert sorted((row[3], row[5]) for row in rows) == sorted(stored)
    assert sorted(int(row[0]) for row in rows) == [1, 2, 3, 4, 5]


def test_a_bet_by_hand(system):
    system.generate(1, "apuesta")
    path = system.folder / "docker-compose-dev.yaml"
    path.write_text(path.read_text().replace("DOCUMENTO=30904465", "DOCUMENTO=00123")
                    .replace("NUMERO=7574", "NUMERO=42"))
    system.up()
    assert system.exit_codes() == [0]
    for service, action in [("client1", "apuesta_enviada"), ("server", "apuesta_almacenada")]:
        [line] = system.log(service, action=action)
        assert (line.result, line.fields["dni"], line.fields["numero"]) == ("success", "00123", "42")


def test_a_bet_that_is_none_is_refused(system):
    system.generate(1, "apuesta")
    path = system.folder / "docker-compose-dev.yaml"
    path.write_text(path.read_text().replace("1999-03-17", "1999-02-29"))
    system.up()
    assert system.exit_codes() == [1]
    [line] = system.log("client1", action="check_data")
    assert (line.result, line.fields["field"]) == ("fail", "birthdate")
    assert system.log("client1", action="apuesta_enviada") == [], "nothing was sent"
    assert ledger(system) == ""


def test_a_bet_that_is_left_to_the_central_is_refused_there(system):
    system.generate(1, "apuesta")
    path = system.folder / "docker-compose-dev.yaml"
    text = path.read_text().replace("1999-03-17", "1999-02-29")
    path.write_text(text.replace("- CLI_ID=1", "- CLI_ID=1\n      - CLI_DATA_CHECK=off"))
    system.up()
    assert system.exit_codes() == [1]
    [line] = system.log("client1", action="apuesta_enviada")
    assert line.result == "fail"
    assert ledger(system) == ""


def ledger(system):
    """The bets that the server has stored."""
    path = system.folder / "bets.csv"
    checked("docker", "cp", "server:/lottery/bets.csv", path)
    return path.read_bytes().decode()
