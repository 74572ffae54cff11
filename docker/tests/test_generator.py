"""The generator by itself: what it writes, and that it writes nothing when it can't."""

import os
import shutil

import pytest
import yaml

from system import REPOSITORY, checked, copy_repository, run

SCRIPT = REPOSITORY / "generar-compose.sh"


def generate(folder, *arguments, environment=None):
    """Generates with the script of a copy of the repository, into that."""
    (folder / "docker").mkdir(exist_ok=True)
    for name in ("generar-compose.sh", "docker/mode"):
        shutil.copy(REPOSITORY / name, folder / name)
    checked("./generar-compose.sh", "compose.yaml", *arguments, cwd=folder,
            env={"PATH": os.environ["PATH"]} | (environment or {}))
    return yaml.safe_load((folder / "compose.yaml").read_text())


def environment_of(service):
    return dict(entry.split("=", 1) for entry in service["environment"])


@pytest.mark.parametrize("agencies", [0, 1, 5, 30])
def test_there_are_a_server_and_as_many_clients_as_asked_for(tmp_path, agencies):
    compose = generate(tmp_path, agencies, "loteria")
    assert compose["name"] == "tp0"
    names = ["server"] + [f"client{agency}" for agency in range(1, agencies + 1)]
    assert list(compose["services"]) == names
    for name, service in compose["services"].items():
        image = "server:latest" if name == "server" else "client:latest"
        assert (service["container_name"], service["image"]) == (name, image)
        assert service["networks"] == ["testing_net"]
        assert all(mount["read_only"] for mount in service["volumes"])
    assert compose["networks"]["testing_net"]["ipam"]["config"] == [{"subnet": "172.25.125.0/24"}]
    server = compose["services"]["server"]
    assert environment_of(server) == {"SERVER_AGENCIES": str(agencies),
                                      "SERVER_PLAINTEXT_WARNING": "false",
                                      "SERVER_ADMIN_ADDRESS": "0.0.0.0:8080",
                                      "SERVER_ADMIN_HOSTS": "server"}
    assert "ports" not in server, "nothing is published"
    assert [mount["source"] for mount in server["volumes"]] == ["./server/config.ini"]


@pytest.mark.parametrize("agencies, subnet", [(250, "172.25.125.0/24"), (251, "172.25.0.0/16"),
                                              (1000, "172.25.0.0/16")])
def test_a_subnet_has_room_for_all(tmp_path, agencies, subnet):
    compose = generate(tmp_path, agencies, "echo")
    assert compose["networks"]["testing_net"]["ipam"]["config"] == [{"subnet": subnet}]
    assert len(compose["services"]) == agencies + 1


@pytest.mark.parametrize("mode", ["echo", "apuesta", "loteria"])
def test_a_client_gets_what_its_mode_needs(tmp_path, mode):
    compose = generate(tmp_path, 2, mode)
    client = compose["services"]["client2"]
    environment = environment_of(client)
    assert (environment["CLI_ID"], environment["CLI_MODE"]) == ("2", mode)
    assert environment["CLI_ANNOUNCE_DELAY"] == "3s" and environment["CLI_EXIT_DELAY"] == "1s"
    bet = {"NOMBRE", "APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"}
    assert bet & set(environment) == (bet if mode == "apuesta" else set())
    sources = [mount["source"] for mount in client["volumes"]]
    data = ["./.data/agency-2.csv"] if mode == "loteria" else []
    assert sources == ["./client/config.yaml"] + data
    assert client["depends_on"] == ["server"]


def test_the_mode_is_the_argument_then_the_environment_then_the_tracked_word(tmp_path):
    def mode(*arguments, **environment):
        compose = generate(tmp_path, 1, *arguments, environment=environment)
        return environment_of(compose["services"]["client1"])["CLI_MODE"]

    assert mode("echo", TP0_MODE="apuesta") == "echo"
    assert mode(TP0_MODE="apuesta") == "apuesta"
    assert mode() == mode(TP0_MODE="") == mode("") == (REPOSITORY / "docker/mode").read_text().strip()


@pytest.mark.parametrize("arguments, environment, tracked, named", [
    (["x"], "y", "z", "MODE: "), ([], "y", "z", "TP0_MODE, of the environment: "),
    ([], "", "z", "docker/mode: "),
])
def test_a_bad_mode_is_reported_with_its_origin(tmp_path, arguments, environment, tracked, named):
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/mode").write_text(f"{tracked}\n")
    shutil.copy(SCRIPT, tmp_path)
    result = run("./generar-compose.sh", "compose.yaml", 1, *arguments, cwd=tmp_path,
                 env=os.environ | {"TP0_MODE": environment})
    found = arguments[0] if arguments else environment or tracked
    assert result.returncode != 0 and not (tmp_path / "compose.yaml").exists()
    assert f"{named}expected echo, apuesta or loteria, found '{found}'" in result.stderr


def test_what_is_no_compose_file_is_not_overwritten(tmp_path):
    foreign = tmp_path / "Makefile"
    (tmp_path / "link.yaml").symlink_to("Makefile")
    for text in ("all:\n", "no line end", "services:\n", "\0\n"):
        foreign.write_text(text)
        for name in ("Makefile", "link.yaml"):
            result = run(SCRIPT, name, 1, "echo", cwd=tmp_path)
            assert result.returncode != 0 and name in result.stderr
            assert result.stderr.startswith("generar-compose.sh: FILE exists and was not written by")
            assert foreign.read_text() == text


def test_its_own_files_empty_ones_and_those_named_as_compose_files_are_overwritten(tmp_path):
    (tmp_path / "empty").touch()
    for name in ("new", "empty", "a.yaml", "a.YML"):
        if name[0] == "a":
            (tmp_path / name).write_text("services: {}\n")
        for agencies in (1, 3):
            checked(SCRIPT, name, agencies, "echo", cwd=tmp_path)
            assert len(yaml.safe_load((tmp_path / name).read_text())["services"]) == agencies + 1


@pytest.mark.parametrize("name", ["client/config.yaml", "docker/persistent.yaml",
                                  "docker/persistent-etcd.yaml", "docker/monitoring.yaml",
                                  "docker/admin.yaml",
                                  "docker/prometheus/loteria.rules.yaml"])
def test_files_of_the_repository_are_not_overwritten(tmp_path, name):
    clone = copy_repository(tmp_path / "clone")
    before = (clone / name).read_text()
    result = run("./generar-compose.sh", name, 1, "echo", cwd=clone)
    assert result.returncode != 0 and f"FILE is {name}" in result.stderr
    assert (clone / name).read_text() == before


@pytest.mark.parametrize("arguments", [
    [], ["5"], ["", "5"], ["-1"], ["five"], ["1.5"], ["10001"], ["99999999999999999999"], ["5", "x"],
    ["5", "echo", "more"], ["5 "], ["0x5"], [""],
])
def test_bad_arguments_are_reported_and_touch_no_file(tmp_path, arguments):
    path = tmp_path / "compose.yaml"
    path.write_text("as it was")
    # With one argument, or an empty first one, FILE itself is what is missing.
    named = arguments if not arguments or arguments[0] == "" and len(arguments) == 2 \
        or arguments == ["5"] else [path, *arguments]
    result = run(SCRIPT, *named, cwd=tmp_path)
    assert result.returncode != 0
    assert result.stdout == "" and result.stderr.startswith("generar-compose.sh: ")
    assert path.read_text() == "as it was"
    assert [found.name for found in tmp_path.iterdir()] == ["compose.yaml"]


def test_a_file_that_cant_be_written_is_reported(tmp_path):
    for file in (tmp_path, tmp_path / "missing" / "compose.yaml"):
        result = run(SCRIPT, file, 1, "echo")
        assert result.returncode != 0 and str(file) in result.stderr


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_no_error(tmp_path, flag):
    result = run(SCRIPT, flag, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "usage: " in result.stdout and all(
        word in result.stdout for word in ("FILE", "N ", "MODE", "10000", "TP0_MODE", "docker/mode"))
    assert list(tmp_path.iterdir()) == []
    # An error ends with the same usage.
    assert run(SCRIPT).stderr.splitlines()[-1] == result.stdout.splitlines()[0]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_echo_tests_help_is_no_error_and_starts_nothing(tmp_path, flag):
    script = REPOSITORY / "validar-echo-server.sh"
    result = run("sh", script, flag, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: ") and "result: fail" in result.stdout
    unknown = run("sh", script, "--hepl", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "") and "--hepl" in unknown.stderr


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_any_shell_may_be_asked_to_run_it(tmp_path, shell):
    if shell != "dash" or shutil.which("dash"):
        checked(shell, SCRIPT, "compose.yaml", 3, "echo", cwd=tmp_path)
        assert len(yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]) == 4


@pytest.mark.parametrize("folder", ["elsewhere", "it's $HOME, \"quoted\": #1"])
def test_elsewhere_than_in_the_repository_paths_are_absolute(tmp_path, folder):
    repository = tmp_path / folder
    (repository / "docker").mkdir(parents=True)
    for name in ("generar-compose.sh", "docker/mode"):
        shutil.copy(REPOSITORY / name, repository / name)
    (tmp_path / "other").mkdir()
    checked(repository / "generar-compose.sh", "../other/compose.yaml", 1, "loteria", cwd=repository)
    compose = yaml.safe_load((tmp_path / "other/compose.yaml").read_text())
    # Compose reads a doubled dollar sign as one.
    sources = {mount["source"].replace("$$", "$")
               for service in compose["services"].values() for mount in service["volumes"]}
    assert sources == {f"{repository}/{name}" for name in (
        "server/config.ini", "client/config.yaml", ".data/agency-1.csv")}


@pytest.mark.parametrize("name", ["two words.yaml", "-n", "-", "ñandú.yaml", "a:b;c&d.yaml"])
def test_a_file_may_have_any_name(tmp_path, name):
    checked(SCRIPT, name, "0002", "echo", cwd=tmp_path)
    assert len(yaml.safe_load((tmp_path / name).read_text())["services"]) == 3
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_one(tmp_path, exists):
    target, link = tmp_path / "target.yaml", tmp_path / "link.yaml"
    if exists:
        target.write_text("as it was")
    link.symlink_to("target.yaml")
    checked(SCRIPT, link, 1, "echo")
    assert link.is_symlink() and "client1" in target.read_text()


def test_standard_output_is_a_file_like_others(tmp_path):
    compose = yaml.safe_load(checked(SCRIPT, "/dev/stdout", 1, "echo"))
    assert list(compose["services"]) == ["server", "client1"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
@pytest.mark.parametrize("redirection", [">", ">>"])
def test_what_standard_output_holds_already_stays(tmp_path, redirection, name):
    script = f'{{ echo "# before"; "$0" {name} 1 echo; echo "# behind"; }} {redirection} file'
    checked("bash", "-c", script, SCRIPT, cwd=tmp_path)
    text = (tmp_path / "file").read_text()
    assert text.startswith("# before\n") and text.endswith("\n# behind\n")
    assert list(yaml.safe_load(text)["services"]) == ["server", "client1"]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "compose.yaml"
    path.write_text("as it was")
    # A file may have a block of 1024 bytes; a write beyond fails, as the signal is ignored.
    script = 'trap "" XFSZ; ulimit -f 1; "$0" "$@"'
    result = run("bash", "-c", script, SCRIPT, path, 100, "echo")
    assert result.returncode != 0 and f"can't write {path}" in result.stderr
    assert path.read_text() == "as it was"
    assert [found.name for found in tmp_path.iterdir()] == ["compose.yaml"]


def test_a_clone_whose_line_ends_are_converted_works(tmp_path):
    source, clone = copy_repository(tmp_path / "source"), tmp_path / "clone"
    for command in (["init", "-q"], ["add", "-A"],
                    ["-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "All"]):
        checked("git", *command, cwd=source)
    checked("git", "clone", "-q", "-c", "core.autocrlf=true", source, clone)
    converted = [name for name in checked("git", "ls-files", cwd=clone).splitlines()
                 if b"\r\n" in (clone / name).read_bytes()
                 and b"\r\n" not in (REPOSITORY / name).read_bytes()]
    assert converted == []
    checked("./generar-compose.sh", "docker-compose-dev.yaml", 2, cwd=clone)
    assert "CLI_MODE=loteria\n" in (clone / "docker-compose-dev.yaml").read_text()
    assert checked("git", "status", "--porcelain", cwd=clone) == ""


def test_nothing_is_needed_but_bash_and_posix_tools(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("cat", "dirname", "mv", "rm"):
        (tools / name).symlink_to(shutil.which(name))
    bash = shutil.which("bash")
    checked(bash, SCRIPT, "compose.yaml", 3, cwd=tmp_path, env={"PATH": str(tools)})
    assert len(yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]) == 4
