"""Exercise 1: a script writes a compose file with as many clients as wanted."""

import pytest


@pytest.mark.parametrize("messages", [1, 3])
@pytest.mark.parametrize("agencies", [1, 2, 5])
def test_every_message_of_every_client_is_echoed(system, agencies, messages):
    system.configure_client(amount=messages)
    system.run_to_end(agencies, "echo")
    for agency in range(1, agencies + 1):
        logged = [(line.action, line.result, line.fields["client_id"], line.fields.get("msg"))
                  for line in system.log(f"client{agency}")
                  if line.action in ("receive_message", "loop_finished")]
        expected = [("receive_message", "success", str(agency),
                     f"[CLIENT {agency}] Message N°{number}") for number in range(1, messages + 1)]
        assert logged == expected + [("loop_finished", "success", str(agency), None)]
    assert {line.level for line in system.log("server")} == {"INFO"}, "nothing to be warned of"
    received = system.log("server", action="receive_message")
    assert sorted(line.fields["msg"] for line in received) == sorted(
        f"[CLIENT {agency}] Message N°{number}"
        for agency in range(1, agencies + 1) for number in range(1, messages + 1))
    assert all(line.result == "success" for line in received)
    assert len({line.fields["ip"] for line in received}) == agencies
