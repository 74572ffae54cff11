"""make's targets for containers, and what they say where something is missing."""

import os
import shutil

import pytest

from system import COMPOSE_FILE, REPOSITORY, checked, containers, copy_repository, run


@pytest.fixture
def clone(tmp_path):
    """The files of this work tree in a folder of their own."""
    folder = copy_repository(tmp_path / "clone")
    yield folder
    run("make", "docker-compose-down", cwd=folder)


@pytest.fixture
def stand_in(tmp_path):
    """A folder for the PATH with a `docker` that fails at some commands, and says this."""
    def make(script):
        folder = tmp_path / "stand-in"
        folder.mkdir()
        (folder / "docker").write_text(f'#!/bin/sh\ncase "$*" in\n{script}\nesac\n'
                                       f'exec {shutil.which("docker")} "$@"\n')
        (folder / "docker").chmod(0o755)
        return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}

    return make


def up(folder, *settings, **options):
    return run("make", "docker-compose-up", *settings, cwd=folder, **options)


def bets(folder):
    return [len(path.read_text().splitlines()) for path in sorted(folder.glob(".data/*.csv"))]


def test_the_file_its_mode_and_the_bets_are_as_was_asked_for(clone):
    result = up(clone, "DATASET_AGENCIES=2", "DATASET_BETS=50", "SEED=9")
    assert result.returncode == 0, result.stderr
    assert f"{COMPOSE_FILE}: mode loteria, agencies: 2" in result.stdout
    assert bets(clone) == [50, 50]
    assert checked("docker", "wait", "client1", "client2").split() == ["0", "0"]
    first = (clone / ".data/agency-1.csv").read_bytes()
    # What exists is kept, unless it is asked for.
    checked("make", "docker-compose-up", cwd=clone)
    assert (clone / ".data/agency-1.csv").read_bytes() == first
    checked("make", "docker-compose-up", cwd=clone, env=os.environ | {"SEED": "10"})
    assert (clone / ".data/agency-1.csv").read_bytes() != first
    result = up(clone, "DATASET_AGENCIES=3")
    assert result.returncode != 0
    assert f"DATASET_AGENCIES=3, but {COMPOSE_FILE} has 2 agencies" in result.stderr


def test_files_of_ones_own_are_kept(clone):
    own = clone / ".data/agency-2.csv"
    own.write_text("Ana,Paz,1,2000-01-01,7\n")
    result = up(clone, "DATASET_AGENCIES=2", "DATASET_BETS=50", "SEED=9")
    assert result.returncode != 0 and containers() == []
    assert ": .data/agency-2.csv. Nothing was written." in result.stderr
    assert "FORCE=1" in result.stderr
    assert bets(clone) == [1]
    checked("make", "docker-compose-up", "DATASET_AGENCIES=2", cwd=clone)
    assert own.read_text() == "Ana,Paz,1,2000-01-01,7\n" and bets(clone) == [2000, 1]


def test_another_mode_is_shown(clone):
    checked("./generar-compose.sh", COMPOSE_FILE, 1, "apuesta", cwd=clone)
    assert f"{COMPOSE_FILE}: mode apuesta, agencies: 1" in checked(
        "make", "docker-compose-up", cwd=clone)
    assert bets(clone) == []


def test_down_removes_containers_too_that_the_file_does_not_name_any_more(clone):
    checked("./generar-compose.sh", COMPOSE_FILE, 3, "echo", cwd=clone)
    checked("make", "docker-compose-up", cwd=clone)
    assert len(containers()) == 4
    checked("./generar-compose.sh", COMPOSE_FILE, 1, "echo", cwd=clone)
    checked("make", "docker-compose-down", cwd=clone)
    assert containers() == []


@pytest.mark.parametrize("name", ["server/config.ini", "client/config.yaml", ".data/agency-1.csv"])
def test_what_the_containers_user_may_not_read_is_named(clone, name):
    (clone / ".data/agency-1.csv").write_text("Ana,Paz,1,2000-01-01,7\n")
    checked("./generar-compose.sh", COMPOSE_FILE, 1, "loteria", cwd=clone)
    (clone / name).chmod(0o600)
    result = up(clone)
    assert result.returncode != 0
    assert f"{name} may not be read by the user that containers run as: chmod o+r" in result.stderr
    assert containers() == []


def test_a_file_that_is_missing_is_named(clone):
    checked("./generar-compose.sh", COMPOSE_FILE, 1, "echo", cwd=clone)
    (clone / "client/config.yaml").unlink()
    result = up(clone)
    assert result.returncode != 0 and "client/config.yaml is missing" in result.stderr
    assert containers() == []


NO_BASE = ('"image inspect rust:"* | pull*) echo "Get https://registry: no such host" >&2; exit 1 ;;')


@pytest.mark.parametrize("target", ["docker-image", "docker-compose-up"])
def test_without_base_image_and_registry_there_is_a_hint(clone, stand_in, target):
    result = run("make", target, cwd=clone, env=stand_in(NO_BASE))
    assert result.returncode != 0
    assert "make docker-base-images makes one" in result.stderr
    assert "no such host" not in result.stderr


@pytest.mark.parametrize("answer, advice", [
    ("Cannot connect to the Docker daemon", "start it: systemctl start docker"),
    ("permission denied while trying to connect", "join the group docker"),
])
@pytest.mark.parametrize("target", ["docker-image", "docker-compose-up", "docker-compose-down",
                                    "docker-compose-logs", "docker-base-images", "docker-test"])
def test_without_a_daemon_there_is_one_line(clone, stand_in, target, answer, advice):
    environment = stand_in(f'info*) echo "{answer}" >&2; exit 1 ;;')
    result = run("make", target, cwd=clone, env=environment)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("make: ***")]
    assert result.returncode != 0
    assert len(lines) == 1 and advice in lines[0], result.stderr


def test_the_echo_test_explains_a_failure(system, stand_in):
    for script, explanation in [
            ("info*) exit 1 ;;", "no Docker daemon answers"),
            ("nothing) ;;", "there is no network tp0_testing_net"),
            ('"network inspect"*) exit 0 ;;\n"image inspect busybox"* | pull*) exit 1 ;;',
             "make docker-base-images")]:
        environment = stand_in(script)
        result = run("sh", "validar-echo-server.sh", cwd=system.folder, env=environment)
        assert (result.returncode, result.stdout) == (
            1, "action: test_echo_server | result: fail\n")
        assert explanation in result.stderr
        shutil.rmtree(environment["PATH"].split(":")[0])


def test_base_images_that_are_there_are_listed():
    output = checked("make", "docker-base-images", cwd=REPOSITORY)
    assert [line.split(": ", 1)[1] for line in output.splitlines()] == [
        "busybox:latest is there", "rust:1-slim-bookworm is there"]


def test_no_target_overflows_the_list():
    lines = checked("make", "help", cwd=REPOSITORY).splitlines()
    assert len(lines) > 20
    columns = {line.index(line.split(None, 2)[2]) for line in lines}
    assert len(columns) == 1, lines


SETUP = REPOSITORY / ".ci/setup"


def test_setup_says_nothing_when_everything_is_there():
    result = run(SETUP, "run", "test", "docker-image", "docker-compose-up", "docker-test")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("target, tool", [
    ("run", "Rust"), ("lint", "Rust"), ("test", "Rust"), ("make", "make"), ("docker-image", "docker"),
    ("docker-test", "docker"),
])
def test_setup_says_in_a_line_what_it_can_not_install(tmp_path, target, tool):
    for name in ("sh", "sed", "dirname", "id", "tail", "rm"):
        (tmp_path / name).symlink_to(shutil.which(name))
    result = run(SETUP, target, env={"PATH": str(tmp_path)})
    assert result.returncode == 1 and result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith(f"make {target} needs {tool} (") and "install" in line


def test_setup_installs_what_is_missing(tmp_path):
    """By a package manager that is called apt-get, and has no lists yet."""
    for name in ("sh", "sed", "dirname", "id", "tail", "rm", "env", "chmod", "sudo"):
        if shutil.which(name):
            (tmp_path / name).symlink_to(shutil.which(name))
    manager = tmp_path / "apt-get"
    manager.write_text(f"""#!/bin/sh
case "$*" in
    *update*) : > {tmp_path}/lists ;;
    *install*make*) [ -e {tmp_path}/lists ] && : > {tmp_path}/make && chmod +x {tmp_path}/make ;;
esac
""".replace(": >", "echo >"))
    manager.chmod(0o755)
    result = run(SETUP, "make", env={"PATH": str(tmp_path)})
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "make make: installing make (everything is a target of the Makefile)\n"


def test_setup_knows_its_targets():
    result = run(SETUP, "nothing")
    assert (result.returncode, result.stderr) == (1, "setup: no target nothing\n")
