"""What every test gets: a central of its own, and browsers that are closed behind it."""

import importlib.util
import os
from pathlib import Path

import pytest

from browser import Page
from central import PROGRAMS, Agency, Central, REPOSITORY


def pytest_sessionstart(session):
    if not (PROGRAMS / "server").exists():
        pytest.exit("there is no target/release/server: make build", returncode=3)


@pytest.fixture
def lottery(tmp_path):
    """Starts a central for so many agencies, with further settings."""
    centrals = []

    def start(agencies, **settings):
        folder = tmp_path / f"central-{len(centrals)}"
        folder.mkdir()
        centrals.append(Central(folder, agencies, **settings))
        return centrals[-1].start()

    yield start
    for central in centrals:
        central.kill()


@pytest.fixture
def connect():
    """Connects an agency to a central."""
    agencies = []

    def connect(central, number):
        agencies.append(Agency(central, number))
        return agencies[-1]

    yield connect
    for agency in agencies:
        agency.close()


@pytest.fixture
def browse():
    """Opens a page. In the end none has complained, and none has asked anybody but the central."""
    pages = []

    def browse(url, quiet=True, origin=None, **how):
        page = Page(**how)
        pages.append((page, origin or url.split("?")[0], quiet))
        return page.open(url)

    yield browse
    try:
        for page, origin, quiet in pages:
            assert [it for it in page.requests() if not it.startswith((origin, "data:"))] == []
            if quiet:
                assert page.complaints() == []
    finally:
        for page, *_ in pages:
            page.close()


@pytest.fixture(scope="session")
def axe():
    """The script of axe-core."""
    package = importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0]
    return (Path(package) / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def screenshots():
    """The folder for pictures."""
    folder = Path(os.environ.get("SCREENSHOTS", REPOSITORY / "target" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
