"""Exercise 8: agencies that are connected at the same time are served at the same time. And the
reader of merged logs, who begins to follow them when everything has been started."""

import os
import re
import subprocess
import sys
import time

import pytest

from system import PATIENCE, parse

# Some versions put a control sequence before it.
ENDED = re.compile(r"(client\d+) exited with code 0$")
# Seconds, as the generator sets them.
ANNOUNCED_AFTER = 3
READER_RUNS = int(os.environ.get("READER_RUNS", "2"))
# Beside busy processes, on a small machine with the first version of compose, hardly any reader
# begins in time: tried only when many runs are asked for.
NEIGHBOURS = [0, 4] if "READER_RUNS" in os.environ else [0]


@pytest.mark.parametrize("agencies", [3, 5])
def test_agencies_are_served_interleaved(system, agencies):
    system.configure_server(LOGGING_LEVEL="DEBUG")
    system.configure_client(period="50ms", max_amount=1)
    for agency in range(1, agencies + 1):
        system.write_agency(agency, 60, 1)
    system.run_to_end(agencies, "loteria")
    order = [line.fields["agency"] for line in system.log("server", action="receive_batch")]
    for agency in map(str, range(1, agencies + 1)):
        first, last = order.index(agency), len(order) - order[::-1].index(agency)
        others = [other for other in order[first:last] if other != agency]
        assert len(set(others)) == agencies - 1, "every other agency is served in between"
        assert len(others) > 30


@pytest.fixture(params=NEIGHBOURS, ids=["alone", "beside four busy processes"][:len(NEIGHBOURS)])
def neighbours(request):
    """Processes that do nothing but take time away."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                 for _ in range(request.param)]
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", range(1, READER_RUNS + 1))
@pytest.mark.parametrize("agencies", [3, 5])
def test_who_begins_to_read_late_sees_everything_in_order(system, neighbours, agencies, number):
    for agency in range(1, agencies + 1):
        system.write_agency(agency, 1000, agency % 3)
    system.generate(agencies, "loteria")
    lines = read_in_time(system)
    order = [parsed.action for parsed in map(parse, lines) if parsed]
    drawn = order.index("sorteo")
    assert order.count("sorteo") == 1
    assert order.count("apuesta_recibida") == order[:drawn].count("apuesta_recibida") > 0
    assert order[drawn:].count("consulta_ganadores") == agencies
    assert order[:drawn].count("consulta_ganadores") == 0


def read_in_time(system):
    """What a reader has seen who began before the clients were as old as they wait for. A machine
    that is slower than that at times is given more than one chance, but not any number."""
    for _ in range(5):
        system.up()
        lines, begun = follow(system)
        late = begun - min(system.started_at(client) for client in system.clients)
        if late < ANNOUNCED_AFTER:
            return lines
        print(f"began to read {late:.1f} s after the first client: too late")
        system.down()
    raise AssertionError("this machine never begins to read in time")


def follow(system):
    """`logs -f`, begun now, until it has shown every client's result and end, in any order; and
    when the first line came. What is missing ends in the timeout, and in a failure."""
    begun = None
    missing = {(client, what) for client in system.clients for what in ("result", "end")}
    lines = []
    command = [str(part) for part in system.compose_command("logs", "-f", "--no-color")]
    with subprocess.Popen(["timeout", str(PATIENCE), *command], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as follower:
        try:
            for line in follower.stdout:
                begun = begun or time.time()
                lines.append(line.rstrip("\n"))
                parsed, ended = parse(lines[-1]), ENDED.search(line)
                if ended:
                    missing.discard((ended[1], "end"))
                elif parsed and parsed.action == "consulta_ganadores":
                    missing.discard((parsed.container, "result"))
                if not missing:
                    return lines, begun
        finally:
            follower.terminate()
    raise AssertionError(f"{missing} wasn't shown:\n" + "\n".join(lines))
