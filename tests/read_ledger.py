"""Reads a ledger as docs/ledger.md describes it, with nothing but Python: `read_ledger.py bets.csv` prints its
accounts as JSON, `read_ledger.py --rows bets.csv` its rows. Only reads; the ledger must be at rest."""
import json, struct, sys, zlib

BLOCK, HEADER_BLOCK, CHECKPOINT, COMMIT = 64, 4096, 1, 2


def records(wal, at, end):
    """The records of a segment, one behind the other, as far as they are of one epoch and whole."""
    epoch = None
    while at + BLOCK <= end:
        head = wal[at:at + BLOCK]
        magic, kind, own_epoch, lsn, rows_before, length, rows_length, crc, _, head_crc = struct.unpack(
            ">8sB7xQQQIIII4xI", head)
        if magic != b"\0APUESTA" or head_crc != zlib.crc32(head[:60]) or epoch not in (None, own_epoch):
            return
        payload = wal[at + BLOCK:at + BLOCK + length]
        if len(payload) < length or zlib.crc32(payload) != crc:
            return
        epoch = own_epoch
        yield kind, epoch, lsn, rows_before, payload, rows_length
        at += BLOCK + -(-length // BLOCK) * BLOCK


def read_snapshot(format, state):
    """For which draw, of how many agencies, the accounts, and whether the draw has run."""
    draw = agencies = None
    if format == 1:
        (length,) = struct.unpack_from(">H", state)
        (agencies,) = struct.unpack_from(">I", state, 2)
        draw = state[6:2 + length].decode() or None
        state = state[2 + length:]
    accounts = {}
    for agency, consumed, stored, rejected, checksum, finished in struct.iter_unpack(">IQQQIB", state[1:]):
        accounts[agency] = [consumed, stored, rejected, checksum, finished == 1]
    return draw, agencies, accounts, state[0] == 1


def apply(meta, accounts):
    """What a commit means, entry by entry; whether the draw has run."""
    at, drawn = 0, False
    while at < len(meta):
        kind = meta[at]
        if kind == 4:
            drawn, at = True, at + 1
            continue
        (agency,) = struct.unpack_from(">I", meta, at + 1)
        account = accounts.setdefault(agency, [0, 0, 0, 0, False])
        if kind == 3:
            account[4], at = True, at + 5
            continue
        count, account[3] = struct.unpack_from(">HI", meta, at + 5)
        account[0] += count
        account[kind] += count  # 1: stored, 2: rejected
        at += 11
    return drawn


def read(path):
    with open(path + ".wal", "rb") as file:
        wal = file.read()
    magic, size, crc = struct.unpack_from(">16sQI", wal)
    assert magic == b"loteria wal v1\r\n" and crc == zlib.crc32(wal[:24]), "no wal of version 1"
    starts = [HEADER_BLOCK, HEADER_BLOCK + size]
    segments = [list(records(wal, start, start + size)) for start in starts]
    used = max((s for s in segments if s and s[0][0] == CHECKPOINT), key=lambda s: s[0][1])
    _, _, _, length, checkpoint, _ = used[0]
    rows_crc, flags = struct.unpack_from(">IB", checkpoint)
    draw, agencies, accounts, drawn = read_snapshot(flags >> 1, checkpoint[5:])
    with open(path, "rb") as file:
        rows = file.read(length)
    assert len(rows) == length and zlib.crc32(rows) == rows_crc, "the rows aren't those of the wal"
    for kind, _, _, rows_before, payload, rows_length in used[1:]:
        assert kind == COMMIT and rows_before == len(rows), "a commit out of its order"
        meta, own = payload[:len(payload) - rows_length], payload[len(payload) - rows_length:]
        drawn |= apply(meta, accounts)
        rows += own
    return rows, draw, agencies, accounts, drawn


if __name__ == "__main__":
    rows, draw, agencies, accounts, drawn = read(sys.argv[-1])
    if sys.argv[1] == "--rows":
        sys.stdout.buffer.write(rows)
    else:
        names = ["consumed", "stored", "rejected", "checksum", "finished"]
        lines = [dict(zip(names, account), agency=agency, checksum="%08x" % account[3])
                 for agency, account in sorted(accounts.items())]
        print(json.dumps({"draw": draw, "agencies": agencies, "drawn": drawn, "bytes": len(rows),
                          "crc32": "%08x" % zlib.crc32(rows), "accounts": lines}))
