"""Exercise 7: the draw, when every agency has finished; each gets its own winners."""

import pytest

from system import COMPOSE_FILE, WINNING_NUMBER


@pytest.mark.parametrize("agencies", [3, 5])
def test_every_agency_gets_its_own_winners_after_the_draw(system, agencies):
    system.configure_client(level="DEBUG")
    # 0 to 5 winners each, also all of an agency's bets.
    winners = {agency: [0, 3, 5, 1, 2][agency - 1] for agency in range(1, agencies + 1)}
    rows = {agency: system.write_agency(agency, 5 + 100 * agency if count < 5 else 5, count)
            for agency, count in winners.items()}
    system.run_to_end(agencies, "loteria")
    for agency, count in winners.items():
        [line] = system.log(f"client{agency}", action="consulta_ganadores")
        assert (line.result, line.fields["cant_ganadores"]) == ("success", str(count))
        documents = [line.fields["dni"] for line in system.log(f"client{agency}", action="ganador")]
        assert documents == [row[2] for row in rows[agency] if row[4] == WINNING_NUMBER]
    actions = [line.action for line in system.log("server")]
    assert actions.count("sorteo") == 1
    assert "apuesta_recibida" not in actions[actions.index("sorteo"):]
    stored = sum(int(line.fields["cantidad"]) for line in system.log("server")
                 if line.action == "apuesta_recibida")
    assert stored == sum(len(of_agency) for of_agency in rows.values())


def test_no_agency_gets_winners_while_an_agency_is_missing(system):
    for agency in (1, 2, 3):
        system.write_agency(agency, 10, 1)
    system.configure_client(level="DEBUG")
    system.generate(3, "loteria")
    system.up("server", "client1", "client2")
    for client in ("client1", "client2"):
        system.wait_for_line(client, "action: finish | result: success")
    assert not system.log("server", action="sorteo")
    system.up("client3")
    assert system.exit_codes() == [0, 0, 0]
    assert len(system.log(*system.clients, action="consulta_ganadores")) == 3


def test_of_two_addresses_the_one_that_works_is_found(system):
    """The name has two addresses, in any order: one accepts and hangs up, one works."""
    for agency in range(1, 6):
        system.write_agency(agency, 10, agency)
    system.configure_client(address="central.example:12345")
    system.generate(5, "loteria")
    path = system.folder / COMPOSE_FILE
    named = "    networks:\n      testing_net:\n        aliases:\n          - central.example\n"
    text = path.read_text().replace("    networks:\n      - testing_net\n", named, 1)
    text = text.replace("\nnetworks:\n", "\n  hangs_up:\n    image: busybox:latest\n    command: "
                        "sh -c 'while true; do nc -l -p 12345 -e true; done'\n"
                        f"{named}\nnetworks:\n")
    path.write_text(text)
    system.up("server", "hangs_up")
    system.wait_for_line("server", "action: listen")
    system.up(*system.clients)
    assert system.exit_codes() == [0] * 5, system.log_text()
    counts = [line.fields["cant_ganadores"] for client in system.clients
              for line in system.log(client, action="consulta_ganadores")]
    assert counts == ["1", "2", "3", "4", "5"]
