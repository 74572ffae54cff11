"""The Wireshark dissector, by tshark: a capture of a real lottery, and segments made by hand."""

import re
import shutil
import struct
import subprocess

import pytest

from system import NETWORK, REPOSITORY, WINNING_NUMBER, checked, wait_until

PORT = 12345
MOST_BYTES = 8192
SCRIPT = REPOSITORY / "wire/lottery.lua"


@pytest.fixture(autouse=True, scope="module")
def tools():
    for name in ("tshark", "tcpdump"):
        assert shutil.which(name), f"{name} is missing: apt-get install {name}"


def dissect(capture, *fields, condition="lottery"):
    """The values of some fields in each packet that fulfils the condition."""
    arguments = [part for name in fields for part in ("-e", name)]
    text = checked("tshark", "-r", capture, "-X", f"lua_script:{SCRIPT}", "-d",
                   f"tcp.port=={PORT},lottery", "-Y", condition, "-T", "fields",
                   "-E", "aggregator=;", *arguments)
    return [line.split("\t") for line in text.splitlines()]


def values(capture, name, condition="lottery"):
    """All values of one field, in their order."""
    return [value for [packet] in dissect(capture, name, condition=condition)
            for value in packet.split(";") if value]


@pytest.fixture
def capture(system, tmp_path):
    """A whole lottery on the network: two agencies, one of them with frames of 8 KiB."""
    system.configure_client(max_amount=60000)
    rows = {1: system.write_agency(1, 700, 3, last_name="de la " * 20),
            2: system.write_agency(2, 5, 5)}
    system.generate(2, "loteria")
    system.up("server")
    system.wait_for_line("server", "action: listen")
    network = checked("docker", "network", "inspect", "--format", "{{.Id}}", NETWORK)
    path, messages = tmp_path / "lottery.pcap", tmp_path / "messages"
    with open(messages, "w") as output, subprocess.Popen(
            ["tcpdump", "-U", "--immediate-mode", "-i", f"br-{network[:12]}", "-w", path,
             f"tcp port {PORT}"], stderr=output) as tcpdump:
        try:
            wait_until(lambda: "listening on" in messages.read_text())
            system.up()
            assert system.exit_codes() == [0, 0]
            checked("sh", "validar-echo-server.sh", cwd=system.folder)
        finally:
            tcpdump.terminate()
    return path, rows


def test_a_real_lottery_is_understood_whole(capture):
    path, rows = capture
    for agency, expected in rows.items():
        [stream] = values(path, "tcp.stream", f"lottery.agency == {agency}")
        of_stream = f"tcp.stream == {stream} && lottery"
        assert values(path, "lottery.bet.document", of_stream) == [row[2] for row in expected]
        first_name, last_name = expected[0][:2]
        assert set(values(path, "lottery.bet.last_name", of_stream)) == {last_name}
        assert set(values(path, "lottery.bet.first_name", of_stream)) == {first_name}
        winners = [row[2] for row in expected if row[4] == WINNING_NUMBER]
        assert values(path, "lottery.winner", of_stream) == winners
        counts = [int(value) for value in
                  values(path, "lottery.count", of_stream + " && lottery.kind == 3")]
        positions = [int(value) for value in values(path, "lottery.position", of_stream)]
        assert positions == [sum(counts[:number]) for number in range(len(positions))]
        assert values(path, "lottery.total", of_stream) == [str(len(expected))]
        assert values(path, "lottery.stored", of_stream) == [str(len(expected))]
    lengths = [int(value) for value in values(path, "lottery.length")]
    assert MOST_BYTES - 500 < max(lengths) <= MOST_BYTES, "no frame above 8 KiB, and some near it"
    assert len(set(values(path, "lottery.line"))) == 1, "the echo, there and back"
    assert values(path, "_ws.expert", "lottery.malformed") == []


HELLO = bytes.fromhex("be010009 01 00000007")
NAMED = bytes.fromhex("be010014 02 00000007 0a") + b"2026-11-27"
BATCH = (bytes.fromhex("be03002c 0000000000000000 0001") + b"\x03Ana\x03Paz\x0812345678"
         b"\x0a2000-01-01\x017")


def write_capture(path, connections):
    """A capture of connections to our port, each a list of segments of its client."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for number, segments in enumerate(connections):
            sequence = 1000
            for data in segments:
                tcp = struct.pack(">HHIIBBHHH", 20000 + number, PORT, sequence, 1, 0x50, 0x18,
                                  65535, 0, 0)
                ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0, 64, 6, 0,
                                 bytes([127, 0, 0, 1]), bytes([127, 0, 0, 1]))
                packet = ip + tcp + data
                file.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
                sequence += len(data)
    return path


def test_a_frame_may_be_cut_anywhere(tmp_path):
    stream = HELLO + BATCH + BATCH + NAMED
    cuts = [[stream[:cut], stream[cut:]] for cut in range(1, len(stream))]
    path = write_capture(tmp_path / "cuts.pcap", [*cuts, [bytes([byte]) for byte in stream]])
    connections = len(cuts) + 1
    assert values(path, "lottery.agency") == ["7"] * 2 * connections
    assert values(path, "lottery.version") == ["1", "2"] * connections
    assert values(path, "lottery.draw") == ["2026-11-27"] * connections
    assert values(path, "lottery.bet.document") == ["12345678"] * 2 * connections
    assert values(path, "lottery.bet.number") == ["7"] * 2 * connections
    assert values(path, "lottery.length") == ["9", "44", "44", "20"] * connections
    assert dissect(path, "frame.number", condition="lottery.malformed") == []


def test_a_hello_says_its_version_and_its_draw(tmp_path):
    later = bytes.fromhex("be01000b 03 00000007 4142")
    path = write_capture(tmp_path / "hello.pcap", [[HELLO], [NAMED], [later]])
    assert dissect(path, "lottery.version", "lottery.agency", "lottery.draw") == [
        ["1", "7", ""], ["2", "7", "2026-11-27"], ["3", "", ""]]
    summary = checked("tshark", "-r", path, "-X", f"lua_script:{SCRIPT}", "-d",
                      f"tcp.port=={PORT},lottery")
    assert re.findall(r"HELLO .*", summary) == [
        "HELLO agency=7", "HELLO agency=7 draw=2026-11-27", "HELLO version=3"]
    assert values(path, "_ws.expert", "lottery.malformed") == []


@pytest.mark.parametrize("frame", [
    HELLO + b"no frame", b"\xbe\x01\x00\x03", b"\xbe\x01\x20\x01" + bytes(8189),
    b"\xbe\x77\x00\x04", b"\xbe\x01\x00\x08\x01\x00\x00\x07", b"\xbe\x05\x00\x05\x00",
    b"\xbe\x01\x00\x09\x02\x00\x00\x00\x07",
    b"\xbe\x01\x00\x0b\x02\x00\x00\x00\x07\x02a",
], ids=["magic", "too short", "too long", "unknown kind", "body too short", "body too long",
        "no draw", "draw too short"])
def test_what_is_malformed_is_marked(tmp_path, frame):
    path = write_capture(tmp_path / "malformed.pcap", [[frame]])
    assert len(dissect(path, "frame.number", condition="lottery.malformed")) == 1


def test_every_error_code_has_its_words(tmp_path):
    page = (REPOSITORY / "docs/protocol.md").read_text()
    codes = sorted(int(code) for code in re.findall(r"\| (\d+) \| [^|]+ \| (?:yes|no|elsewhere) ", page))
    assert codes == list(range(1, codes[-1] + 1)) and len(codes) > 16
    frames = [struct.pack(">BBHB", 0xBE, 0xFF, 5, code) for code in [*codes, codes[-1] + 1]]
    path = write_capture(tmp_path / "errors.pcap", [[frame] for frame in frames])
    text = checked("tshark", "-r", path, "-X", f"lua_script:{SCRIPT}", "-d",
                   f"tcp.port=={PORT},lottery", "-O", "lottery")
    words = re.findall(r"Code: (.*) \((\d+)\)", text)
    assert [int(code) for _, code in words] == [*codes, codes[-1] + 1]
    assert "Unknown" in words[-1][0], "a later version's"
    assert not [word for word, _ in words[:-1] if "Unknown" in word]


def test_what_begins_as_tls_is_left_to_its_own_dissector(tmp_path):
    hello = bytes.fromhex("010000290303") + bytes(32) + bytes.fromhex("00000213010100")
    record = bytes.fromhex("160301") + struct.pack(">H", len(hello)) + hello
    later = bytes.fromhex("1703030005") + b"\xbe\x01\x00\x09\x01"
    path = write_capture(tmp_path / "tls.pcap", [[record, later], [b"a \x16\n", b"\x16\n"]])
    assert values(path, "tls.handshake.type", "tcp.stream == 0") == ["1"]
    assert values(path, "tls.record.content_type", "tcp.stream == 0") == ["22", "23"]
    assert values(path, "_ws.expert", "lottery.malformed") == []
    assert len(values(path, "lottery.line")) == 1
