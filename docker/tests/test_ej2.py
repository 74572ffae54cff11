"""Exercise 2: configuration outside the images, changed without building them again."""

import re

from system import checked


def images():
    return checked("docker", "image", "inspect", "--format", "{{.Id}}", "server:latest",
                   "client:latest")


def config_of(system, service):
    [line] = system.log(service, action="config")
    assert (line.level, line.result) == ("DEBUG", "success")
    return line.fields


def test_a_change_on_the_host_takes_effect_without_a_build(system):
    before = images()
    for port, backlog, amount, period in [(12345, 5, 2, "0s"), (23456, 17, 3, "10ms")]:
        system.configure_server(SERVER_PORT=port, SERVER_LISTEN_BACKLOG=backlog,
                                LOGGING_LEVEL="DEBUG")
        system.configure_client(f"server:{port}", amount, period, "DEBUG")
        system.run_to_end(1, "echo")
        config = config_of(system, "server")
        assert (config["port"], config["listen_backlog"]) == (str(port), str(backlog))
        assert config["logging_level"] == "DEBUG"
        config = config_of(system, "client1")
        assert config["client_id"] == "1" and config["log_level"] == "DEBUG"
        assert config["server_address"] == f"server:{port}"
        assert (config["loop_amount"], config["loop_period"]) == (str(amount), period)
        assert len(system.log("client1", action="receive_message")) == amount
        assert images() == before
        system.down()


def test_containers_that_are_there_take_the_change_too(system):
    system.configure_client(amount=1)
    system.run_to_end(1, "echo")
    system.configure_client(amount=4)
    system.up()
    assert system.exit_codes() == [0]
    assert len(system.log("client1", action="receive_message")) == 1 + 4


def test_the_level_of_the_log_is_the_files(system):
    system.configure_server(LOGGING_LEVEL="WARNING")
    system.configure_client(amount=1, level="ERROR")
    system.run_to_end(1, "echo")
    assert system.log() == []


def test_a_file_that_cant_be_used_is_named(system):
    system.configure_server(SERVER_PORT="abc")
    system.generate(0, "echo")
    system.up()
    assert system.exit_codes("server") == [2]
    assert re.search(r'config\.ini:\d+: SERVER_PORT = "abc": expected a TCP port',
                     system.log_text("server"))
