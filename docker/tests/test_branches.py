"""`make branches`: one branch for each exercise, on a clone of this repository."""

import pytest
import yaml

from system import checked, copy_repository, run

MODES = {"ej1": "echo", "ej2": "echo", "ej3": "echo", "ej4": "echo", "ej5": "apuesta",
         "ej6": "loteria", "ej7": "loteria", "ej8": "loteria"}


@pytest.fixture
def clone(tmp_path):
    """A repository that has one commit with the files of this work tree, and is on main."""
    folder = copy_repository(tmp_path / "clone")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Test")
    git(folder, "config", "user.email", "test@example.org")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Everything")
    return folder


def git(folder, *arguments):
    return checked("git", *arguments, cwd=folder).strip()


def heads(folder):
    lines = git(folder, "for-each-ref", "--format", "%(refname:short) %(objectname)", "refs/heads")
    return dict(line.split() for line in lines.splitlines())


def test_each_is_main_and_one_commit_with_its_mode(clone):
    (clone / "README.md").write_text("not committed")
    checked("make", "branches", cwd=clone)
    made = heads(clone)
    assert set(made) == {"main", *MODES}
    for branch, mode in MODES.items():
        assert git(clone, "rev-parse", f"{branch}^") == made["main"]
        assert git(clone, "show", f"{branch}:docker/mode") == mode
        changed = git(clone, "diff", "--name-only", "main", branch)
        assert changed == ("" if mode == "loteria" else "docker/mode")
    assert git(clone, "symbolic-ref", "--short", "HEAD") == "main"
    assert git(clone, "status", "--porcelain") == "M README.md"
    checked("make", "branches", cwd=clone)
    assert heads(clone) == made, "a second time changes nothing"


@pytest.mark.parametrize("branch, mode", MODES.items())
def test_the_plain_generator_does_what_the_exercise_asks_for(clone, branch, mode):
    checked("make", "branches", cwd=clone)
    git(clone, "switch", "-q", branch)
    checked("./generar-compose.sh", "compose.yaml", "2", cwd=clone)
    compose = yaml.safe_load((clone / "compose.yaml").read_text())
    assert f"CLI_MODE={mode}" in compose["services"]["client1"]["environment"]


def test_they_follow_main_but_never_lose_work(clone):
    checked("make", "branches", cwd=clone)
    git(clone, "commit", "-q", "--allow-empty", "-m", "Main goes on")
    checked("make", "branches", cwd=clone)
    assert git(clone, "rev-parse", "ej1^") == heads(clone)["main"]
    git(clone, "switch", "-q", "ej1")
    (clone / "mine").write_text("mine")
    git(clone, "add", "mine")
    git(clone, "commit", "-q", "-m", "Mine")
    git(clone, "switch", "-q", "main")
    before = heads(clone)["ej1"]
    result = run("make", "branches", cwd=clone)
    assert result.returncode != 0 and "ej1 holds something else" in result.stderr
    assert heads(clone)["ej1"] == before
