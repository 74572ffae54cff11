"""Records what Python's ConfigParser makes of many small files: python3 record.py > recorded.rs

The tests need no Python: they compare with what was recorded.
"""

import configparser
import itertools
import os
import random
import sys
import tempfile

BY_HAND = [
    b"",
    b"[DEFAULT]\nSERVER_PORT = 12345\n",
    b"[DEFAULT]\nSERVER_PORT = 12345",
    b"[DEFAULT]\r\nSERVER_PORT = 12345\r\nA=1\r\n",
    b"[DEFAULT]\rSERVER_PORT = 12345\rA=1\r",
    b"[DEFAULT]\nserver_port = 1\nServer_IP = s\n",
    b"[DEFAULT]\nSERVER_PORT = 9999\nSERVER_PORT = 8888\n",
    b"[DEFAULT]\nSERVER_PORT = 9999\nserver_port = 8888\n",
    b"[DEFAULT]\nPATH = /data/lote #2/bets.csv\nPORT = 9999 ; puerto\n",
    b"[DEFAULT]\n# A = 1\n; B = 2\n  # C = 3\nD = 4\n",
    b"[DEFAULT]\nA = 1\n# in between\n B\n",
    b"[DEFAULT]\nA: 1\nB:2\nC = a:b\nD : a=b\n",
    b"[DEFAULT]\nA == 1\nB =: 1\nC:=1\n",
    b"[DEFAULT]\nA b c = 1\nA.b-c=2\n",
    b"[DEFAULT]\nA = \"quoted\"\nB = 'x'\n",
    b"[DEFAULT]\nA =\nB=\nC:\n",
    b"[DEFAULT]\nA =\n\n\nB = 1\n\n\n",
    b"[DEFAULT]\nA\n",
    b"[DEFAULT]\nA\nB\nC = 1\n",
    b"[DEFAULT]\n= 1\n",
    b"[DEFAULT]\n: 1\n",
    b"A = 1\n",
    b"A = 1\n[DEFAULT]\nB = 1\n",
    b"\n\n# comment\nA = 1\n",
    b"[default]\nA = 1\n",
    b"[DEFAULT]\nA = 1\n[OTHER]\nA = 2\nB = 3\n",
    b"[OTHER]\nA = 2\n[DEFAULT]\nB = 3\n",
    b"[DEFAULT]\nA = 1\n[DEFAULT]\nB = 2\n",
    b"[DEFAULT]\nA = 1\n[DEFAULT]\nA = 2\n",
    b"[X]\nA = 1\n[X]\nB = 1\n",
    b"[X]\nA = 1\nA = 2\n",
    b"[DEFAULT] trailing\nA = 1\n",
    b"[DEFAULT]]\nA = 1\n",
    b"[ DEFAULT ]\nA = 1\n",
    b"[DEFAULT\nA = 1\n",
    b"[]\nA = 1\n",
    b"[DEFAULT]\n[]\nA = 1\n",
    b"[DEFAULT]\n[x = 1\n",
    b"  [DEFAULT]\n  A = 1\n  B = 2\n",
    b"[DEFAULT]\n  A = 1\n  B = 2\n",
    b"[DEFAULT]\n  A = 1\nB = 2\n",
    b"[DEFAULT]\nA = 1\n  B = 2\n",
    b"[DEFAULT]\nA = 1\n\tB = 2\n",
    b"[DEFAULT]\nA = 1\n  [X]\nB = 2\n",
    b"[DEFAULT]\nA =\n  1\n",
    b"[DEFAULT]\nA = 1\n\n  2\n",
    b"[DEFAULT]\nA = 1\n  \n\t\nB = 2\n",
    b"[DEFAULT]\nA = 100%\n",
    b"[DEFAULT]\nA = 100%%\nB = %%(x)s\n",
    b"[DEFAULT]\nA = %(B)s\nB = 1\n",
    b"[DEFAULT]\nA = %(nothing)s\n",
    b"[DEFAULT]\nA = %(B\nB = 1\n",
    b"[DEFAULT]\nA = %\nB = %a\nC = %%%\n",
    b"[DEFAULT]\nA\t=\t1\t\n",
    b"[DEFAULT]\nA = a\tb\n",
    "[DEFAULT]\nA\u00a0=\u00a01\u00a0\n".encode(),
    "[DEFAULT]\nA = ñandú\nÑ = 1\nñ = 2\n".encode(),
    "[DEFAULT]\nA = a\u2028b\nB = a\u0085b\n".encode(),
    b"[DEFAULT]\nA = a\x0bB = 1\nC = a\x0cb\n",
    b"[DEFAULT]\n\x1c\nA = 1\n\x1cB = 2\n",
    b"[DEFAULT]\nA = 1 \x1d\n",
    b"[DEFAULT]\nA = [x]\n[x] = 1\n",
    b"[DEFAULT]\nA=1\n\n[DEFAULT]\n\n  B=2\n",
    "[DEFAULT]\nİ = 1\nΣΑΣ = 2\n".encode(),
    b"[DEFAULT]\nA = 1#2\nB = 1;2\nC = #3\nD = ;4\n",
    b"[DEFAULT]\nREM = 1\nrem A = 2\n",
    b"[DEFAULT]\n!A = 1\n@B = 2\n",
    b"[DEFAULT]\nA = \\\n  1\n",
    b"[DEFAULT]\nA = 1\\n2\n",
]

TOKENS = [
    "[DEFAULT]", "[x]", "A", "B", "a", "SERVER_PORT", "=", ":", " = ", "1", "12345", " ", "  ", "\t",
    "\n", "\n", "\n", "\n ", "\r\n", "\r", "#", ";", " # x", " ; x", "%", "%%", "%(A)s", "[", "]",
    "\"", "ñ", "\u00a0",
]

LINES = [
    "A = 1", "B: x y", "a=2", "SERVER_PORT = 12345", "  C = 3", "\tD = 4", " more", "", "  ", "# x", "; x",
    "  # x", "[DEFAULT]", "[x]", " [y]", "E = a # b", "F = a ; b", "G =", "H = 50%%", "I = %(A)s", "J = 5%",
    "K = \"q\"", "L = [x]", "M=:=", "alone", "N\u00a0= 1",
]


def texts():
    yield from BY_HAND
    values = ["", "1", "x y", "#1", "1 #", "1;", "%%"]
    for blank, delimiter, value in itertools.product(["", " "], ["=", ":"], values):
        yield f"[DEFAULT]\nKEY{blank}{delimiter}{blank}{value}{blank}\n".encode()
    chance = random.Random(1)
    for _ in range(250):
        end = chance.choice(["\n", "\n", "\r\n", "\r"])
        lines = [chance.choice(LINES) for _ in range(chance.randint(1, 6))]
        yield (end.join(["[DEFAULT]"] + lines) + chance.choice(["", end])).encode()
    for _ in range(100):
        body = "".join(chance.choice(TOKENS) for _ in range(chance.randint(2, 14)))
        yield ("[DEFAULT]\n" + body).encode()


def outcome(data):
    """The values of [DEFAULT] or None for one that can't be had, or the lines of errors."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(data)
    parser = configparser.ConfigParser()
    try:
        parser.read(file.name, encoding="utf-8")
    except configparser.ParsingError as error:
        if isinstance(error, configparser.MissingSectionHeaderError):
            return None, [error.lineno]
        return None, [line for line, _ in error.errors]
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        return None, [error.lineno]
    finally:
        os.unlink(file.name)
    values = []
    for name in parser.defaults():
        try:
            values.append((name, parser["DEFAULT"][name]))
        except configparser.InterpolationError:
            values.append((name, None))
    return values, None


def rust(text):
    escaped = []
    for character in text:
        if character in '"\\':
            escaped.append("\\" + character)
        elif character in "\n\r\t":
            escaped.append(repr(character)[1:-1])
        elif " " <= character <= "~":
            escaped.append(character)
        else:
            escaped.append("\\u{%x}" % ord(character))
    return '"' + "".join(escaped) + '"'


def main():
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"// Made by record.py with Python {version}.\n")
    print("pub(crate) static RECORDED: &[(&str, Recorded)] = &[")
    for data in dict.fromkeys(texts()):
        values, lines = outcome(data)
        if lines is not None:
            result = "Refused(&[" + ", ".join(map(str, lines)) + "])"
        else:
            pairs = [
                f"({rust(name)}, " + ("None" if value is None else f"Some({rust(value)})") + ")"
                for name, value in values
            ]
            result = "Read(&[" + ", ".join(pairs) + "])"
        print(f"    ({rust(data.decode())}, {result}),")
    print("];")


main()
