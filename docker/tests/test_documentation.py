"""The exercises as docs/exercises.md has them: its commands, in their order, and what comes of them."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field

import pytest

from system import PATIENCE, REPOSITORY, containers, copy_repository, networks, run

# Between two looks at the logs: `logs` without -f shows what was written until then.
PAUSE = 0.5
PAGE = REPOSITORY / "docs" / "exercises.md"


@dataclass
class Step:
    """Commands of a code block, and the lines that the block behind it promises."""
    exercise: str
    commands: list
    promised: list = field(default_factory=list)


def steps(text):
    """All of the page, until after the eighth exercise."""
    section = text[:text.index("## Keeping the ledger")]
    found, exercise = [], "before"
    pieces = re.split(r"^(## .*|```.*)\n", section, flags=re.M)
    inside = None
    behind = False
    for piece in pieces:
        if piece.startswith("## "):
            exercise, behind = piece[3:], False
        elif piece.startswith("```"):
            inside = piece[3:] if inside is None else None
        elif inside == "sh":
            commands = [re.sub(r"\s+# .*$", "", line) for line in piece.splitlines()]
            found.append(Step(exercise, commands))
            behind = True
        elif inside == "" and behind:
            found[-1].promised = piece.splitlines()
            behind = False
        elif piece.strip():
            behind = False
    return found


# Compose's first version colours its output also when it goes into a pipe.
COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]")
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def pattern(promised):
    """What a promised line may look like: its time, its spaces and a few numbers are others."""
    text = re.sub(STAMP, "STAMP", promised)
    text = re.sub(r"bytes: \d+", "bytes: DIGITS", text)
    text = re.escape(text).replace("STAMP", STAMP).replace("DIGITS", r"\d+")
    return re.compile(re.sub(r"(\\[ \t]|\s)+", r"\\s+", text))


def is_there(promised, output):
    """Of the dissector's lines each message: how many share a segment is the network's business."""
    if "\t" in promised:
        return all(message in output for message in re.findall(r"[A-Z]+ [a-z0-9= ]+", promised))
    return any(pattern(promised).fullmatch(line) for line in output.splitlines())


def missing(promised, output):
    return [line for line in promised if not is_there(line, output)]


@pytest.fixture
def clone(tmp_path):
    """The files of this work tree in a folder of their own, and `docker compose` on any machine."""
    folder = copy_repository(tmp_path / "clone")
    tools = tmp_path / "bin"
    tools.mkdir()
    if run("docker", "compose", "version").returncode != 0:
        docker = tools / "docker"
        docker.write_text(f'#!/bin/sh\nif [ "$1 $2" = "compose -f" ]; then\n    shift 2\n'
                          f'    exec "{folder}/docker/compose.sh" "$@"\nfi\n'
                          f'exec {shutil.which("docker")} "$@"\n')
        docker.chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    yield folder, environment
    run("make", "docker-compose-down", cwd=folder, env=environment)


def follow(command, promised, clone):
    """Runs a command that may never end, until all that is promised has come."""
    folder, environment = clone
    output = ""
    # Its own session: what it starts ends with it.
    with subprocess.Popen(["timeout", str(PATIENCE), "bash", "-c", command], cwd=folder,
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        try:
            for line in process.stdout:
                output += COLOUR.sub("", line)
                if promised and not missing(promised, output):
                    return output, 0
        finally:
            process.terminate()
    return output, process.returncode


def look_until_all_is_there(step, clone):
    """Gives the last command again, as a reader does who doesn't see everything yet."""
    deadline = time.monotonic() + PATIENCE
    while True:
        output, code = follow(step.commands[-1], step.promised, clone)
        if not missing(step.promised, output):
            return
        assert time.monotonic() < deadline, (step, missing(step.promised, output), output, code)
        time.sleep(PAUSE)


def test_there_are_commands_for_each_exercise_and_promises_for_most():
    found = steps(PAGE.read_text())
    assert {step.exercise[0] for step in found} == set("b12345678")
    assert {step.exercise[0] for step in found if step.promised} == set("1234567")


def test_the_exercises_in_order_command_by_command(clone):
    folder, environment = clone
    capture = None
    try:
        for step in steps(PAGE.read_text()):
            print(step.exercise, step.commands)
            if step.exercise.startswith("6") and capture is None:
                capture = subprocess.Popen(["tcpdump", "-U", "-i", "any", "-w", "capture.pcap",
                                            "tcp port 12345"], cwd=folder, stderr=subprocess.PIPE,
                                           text=True)
                assert any("listening on" in line for line in capture.stderr)
            alone = len(step.commands) if not step.promised else len(step.commands) - 1
            for command in step.commands[:alone]:
                output, code = follow(command, [], clone)
                assert code == 0, (command, output)
            if step.promised:
                look_until_all_is_there(step, clone)
    finally:
        if capture:
            capture.terminate()
            capture.communicate()
    assert containers() == [] and networks() == []
