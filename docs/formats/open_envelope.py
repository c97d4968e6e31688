#!/usr/bin/env python3
"""Prints one credential from a nodeloom SQLite database, without nodeloom.

    open_envelope.py DATABASE NAME [--team NAME_OR_ID] [--key-file FILE]
    open_envelope.py --self-test

The key string comes from the environment variable APP_ENCRYPTION_KEY, from --key-file, or from
standard input, and never from the command line. The database is opened read-only. The secret goes
to standard output. Needs Python 3.8 or newer and `pip install cryptography`; the format is
described in envelope.md beside this file.
"""

import argparse, getpass, os, pathlib, sqlite3, struct, sys, uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive_root(string):
    """The key-encryption key and the root id of a key string."""
    expand = lambda info, length: HKDF(SHA256(), length, b"nodeloom/root/v1", info).derive(string)
    return expand(b"nodeloom/v1/kek", 32), expand(b"nodeloom/v1/root-id", 8)


def cmac(key, block):
    mac = CMAC(AES(key))
    mac.update(block)
    return mac.finalize()


def subkey(key, nonce):
    """The AES-256-GCM key that XAES-256-GCM derives from a key and the start of a nonce."""
    return cmac(key, b"\0\1X\0" + nonce[:12]) + cmac(key, b"\0\2X\0" + nonce[:12])


def open_envelope(key, key_id, fields, envelope):
    """The plaintext of an envelope that `key` sealed for the place `fields`."""
    if len(envelope) < 50:
        sys.exit(f"the envelope is damaged: {len(envelope)} bytes, at least 50 are needed")
    if envelope[:2] != b"\1\1":
        sys.exit(f"envelope format {envelope[0]}, suite {envelope[1]}: this script reads 1 and 1")
    if envelope[2:10] != key_id:
        sys.exit(f"the envelope names key {envelope[2:10].hex()}, not {key_id.hex()}")
    place = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    nonce, aad = envelope[10:34], envelope[:10] + bytes([len(fields)]) + place
    return AESGCM(subkey(key, nonce)).decrypt(nonce[12:], envelope[34:], aad)


def open_key(kek, root_id, purpose, team, key_id, envelope):
    return open_envelope(kek, root_id, [b"data-key", purpose, team, key_id], envelope)


def open_value(key, key_id, team, kind, owner, field, generation, envelope):
    place = [b"sealed", team, kind, owner, field, struct.pack(">Q", generation)]
    return open_envelope(key, key_id, place, envelope)


def find_credential(db, name, team):
    """The record of one credential: id, team id, generation."""
    rows = db.execute(
        "SELECT c.id, c.team_id, c.generation, t.name FROM credentials c"
        " LEFT JOIN teams t ON t.id = c.team_id WHERE c.name = ? ORDER BY c.team_id", (name,)
    ).fetchall()
    if not rows:
        sys.exit(f"no credential has the name {name!r} (names are compared exactly)")
    wanted = [row for row in rows if team in (None, row[3], str(uuid.UUID(bytes=row[1])), row[1].hex())]
    if len(wanted) == 1:
        return wanted[0][:3]
    found = "".join(f"\n  --team {uuid.UUID(bytes=row[1])}   {row[3]}" for row in wanted or rows)
    problem = "several teams have" if wanted else f"team {team!r} does not have"
    sys.exit(f"{problem} a credential {name!r}; choose one of:{found}")


def read_credential(db, string, name, team):
    """The data of a credential's newest version, as JSON text."""
    kek, root_id = derive_root(string)
    # The place comes from the credential's own record and never from sealed_values: otherwise
    # whoever could write that table could point this credential at another one's secret.
    owner, team, generation = find_credential(db, name, team)
    row = db.execute(
        "SELECT envelope FROM sealed_values WHERE team_id = ? AND kind = 'credential'"
        " AND owner_id = ? AND field = 'data' AND generation = ?", (team, owner, generation)
    ).fetchone()
    if row is None:
        sys.exit(f"credential {name!r} has no sealed value for its version {generation}")
    key_id = row[0][2:10]
    slots = dict(db.execute("SELECT root_id, envelope FROM key_slots WHERE data_key_id = ?", (key_id,)))
    if root_id not in slots:
        states = dict(db.execute("SELECT id, state FROM root_keys"))
        expected = ", ".join(f"{root.hex()} ({states.get(root, 'unknown')})" for root in slots)
        sys.exit(f"wrong key: the key string given has root id {root_id.hex()} "
                 f"({states.get(root_id, 'never seen in this database')}).\n"
                 f"Data key {key_id.hex()} opens with root id: {expected or 'none, it has no slot'}")
    try:
        key = open_key(kek, root_id, b"seal", team, key_id, slots[root_id])
    except InvalidTag:
        sys.exit(f"the slot of data key {key_id.hex()} under root {root_id.hex()} is damaged,"
                 " or the key belongs to another team")
    try:
        return open_value(key, key_id, team, b"credential", owner, b"data", generation, row[0])
    except InvalidTag:
        sys.exit(f"the sealed value of {name!r} is damaged, or was sealed for another place")


def trim(data):
    """Without one line end, as nodeloom reads a key file."""
    return data[:-2] if data.endswith(b"\r\n") else data[:-1] if data.endswith(b"\n") else data


def key_string(file):
    if file:
        return trim(pathlib.Path(file).read_bytes())
    if "APP_ENCRYPTION_KEY" in os.environ:
        return os.environb[b"APP_ENCRYPTION_KEY"] if os.supports_bytes_environ else os.environ["APP_ENCRYPTION_KEY"].encode()
    if sys.stdin.isatty():
        return getpass.getpass("Key string: ").encode()
    return trim(sys.stdin.buffer.read())


def self_test():
    kek, root_id = derive_root(b"TEST-VECTOR-ONLY/not-a-secret/0123456789abcdef")
    assert kek.hex() == "f056e7e006f1f212a85759811b2c37a9765199d8f74db59d8bf2ab2e697a4d29"
    assert root_id.hex() == "18c48ae28540fda7"
    team, owner, key_id = bytes(range(0x10, 0x20)), bytes(range(0x20, 0x30)), bytes(range(0xA0, 0xA8))
    wrapped = bytes.fromhex(
        "010118c48ae28540fda7000102030405060708090a0b0c0d0e0f1011121314151617908b71b4e71cd4f492ba6cb1"
        "5273dcd35486d6b9e16f6ea1e2d52be0bdb8e993c76866ed4a8a09aa7f9c8a4e51843276")
    key = open_key(kek, root_id, b"seal", team, key_id, wrapped)
    assert key == bytes(range(0x40, 0x60))
    sealed = bytes.fromhex(
        "0101a0a1a2a3a4a5a6a76465666768696a6b6c6d6e6f707172737475767778797a7b201a4f9948f484944e34fe1a"
        "f75a9e52939f4ec2670553")
    assert open_value(key, key_id, team, b"credential", owner, b"data", 7, sealed) == b"hunter2"
    try:
        open_value(key, key_id, team, b"credential", owner, b"data", 8, sealed)
    except InvalidTag:
        return print("self-test passed")
    raise AssertionError("a value opened for a generation that it was not sealed for")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", nargs="?", help="nodeloom.db, in the data directory")
    parser.add_argument("name", nargs="?", help="the credential's name, exactly")
    parser.add_argument("--team", help="the team's name or id, where several teams use the name")
    parser.add_argument("--key-file", help="a file that holds the key string")
    parser.add_argument("--self-test", action="store_true", help="check this script against known vectors")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if options.name is None:
        parser.error("DATABASE and NAME are needed")
    try:
        database = pathlib.Path(options.database).resolve()
        db = sqlite3.connect(database.as_uri() + "?mode=ro", uri=True)
        data = read_credential(db, key_string(options.key_file), options.name, options.team)
    except sqlite3.Error as error:
        sys.exit(f"cannot read the database {options.database}: {error}")
    except OSError as error:
        sys.exit(f"cannot read the key file: {error}")
    sys.stdout.buffer.write(data + b"\n")


if __name__ == "__main__":
    main()
