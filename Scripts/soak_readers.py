"""LMDB's reader table, `lock.mdb`, as other processes see it: looked at from outside, since opening the store would change it.

Laid out for 64 bits as in LMDB 0.9 (MDB_txninfo, MDB_reader): a head of two cache lines, then a slot of one for each reader.
"""
import struct

MAGIC = 0xBEEFC0DE
HEAD, SLOT = 128, 64


def used_slots(store):
    """How many of a store's reader slots are in use, those of processes that were killed included; None where there is no table."""
    try:
        table = (store / "lock.mdb").read_bytes()
    except FileNotFoundError:
        return None
    if len(table) < HEAD or struct.unpack_from("<I", table)[0] != MAGIC:
        return None
    [count] = struct.unpack_from("<I", table, 56)
    places = range(HEAD, min(HEAD + count * SLOT, len(table) - SLOT + 1), SLOT)
    return sum(struct.unpack_from("<i", table, place + 8)[0] != 0 for place in places)
