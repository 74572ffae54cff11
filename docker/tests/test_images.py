"""The images: small, static, without configuration, not run by root, asked for their health."""

import io
import json
import tarfile

import pytest

from system import REPOSITORY, checked, wait_until

FEW_BYTES = 10 << 20


def inspect(name):
    return json.loads(checked("docker", "inspect", name))[0]


@pytest.mark.parametrize("image", ["server", "client", "dataset", "pki"])
def test_an_image_holds_its_program_and_nothing_else(image):
    found = inspect(f"{image}:latest")
    assert found["Size"] < FEW_BYTES
    assert found["Config"]["User"] not in ("", "0", "root")
    container = checked("docker", "create", f"{image}:latest").strip()
    try:
        exported = checked("docker", "export", container, text=False)
    finally:
        checked("docker", "rm", container)
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        files = [member.name for member in archive if member.isfile() and member.size > 0]
    assert files == [image]


def test_the_images_share_their_builder_stage():
    builders = [text[text.index("FROM rust"):text.index("FROM scratch")].split("\n\n")[0]
                for text in ((REPOSITORY / name / "Dockerfile").read_text()
                             for name in ("server", "client", "client/load", "server/pki"))]
    assert len(set(builders)) == 1


def test_a_server_is_healthy_and_being_asked_leaves_no_line(system):
    system.generate(0, "echo")
    system.up()
    wait_until(lambda: inspect("server")["State"]["Health"]["Status"] == "healthy")
    lines = [(line.action, line.result) for line in system.log("server")]
    assert lines == [("listen_admin", "success"), ("open_ledger", "success"),
                     ("open_lottery", "success"), ("listen", "success"),
                     ("accept_connections", "in_progress")]
