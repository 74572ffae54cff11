"""What every test gets: images that are there, no other system's containers, a folder of its own."""

import subprocess

import pytest

from system import System, containers, networks


def pytest_sessionstart(session):
    """Names and network are fixed, so two systems can't run at the same time on one machine."""
    if subprocess.run(["docker", "info"], capture_output=True, timeout=60).returncode != 0:
        pytest.exit("no Docker daemon answers: these tests need one", returncode=3)
    others = containers() + networks()
    if others:
        pytest.exit(f"a system is up already ({', '.join(others)}): make docker-compose-down first",
                    returncode=3)
    for image in ("server:latest", "client:latest", "dataset:latest", "pki:latest",
                  "busybox:latest"):
        found = subprocess.run(["docker", "image", "inspect", image], capture_output=True, timeout=60)
        if found.returncode != 0:
            pytest.exit(f"there is no image {image}: make docker-image docker-base-images",
                        returncode=3)


@pytest.fixture
def system(tmp_path):
    """A system that isn't up. Taken down at the end, whatever happened."""
    system = System(tmp_path)
    yield system
    system.down()
