"""Prints the known answers of CryptoVectorTests, KeyVectorTests and ManifestVectorTests, computed without any code of this project:
Python's hashlib, hmac and cryptography."""
import hashlib, hmac, struct
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

def derive(master, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(master)

def mac(key, *parts):
    return hmac.new(key, b"".join(parts), "sha256").digest()

def box(key, nonce, plain, associated):
    return nonce + AESGCM(key).encrypt(nonce, plain, associated)

MASTER = bytes(range(32))
DEPLOYMENT = bytes(range(100, 132))
print("gcm", box(MASTER, bytes(range(50, 62)), b"attack at dawn", b"header").hex())
print("gcm empty", box(MASTER, bytes(12), b"", b"").hex())
print("hkdf", derive(MASTER, b"some purpose").hex())

WRAP = derive(MASTER, b"layercache 1 manifest wrap key")
INDEX = derive(MASTER, b"layercache 1 layer index key")
TENANT_ID = mac(MASTER, b"layercache 1 tenant key id")[:16]
SALT_WRAP = derive(DEPLOYMENT, b"layercache 1 salt wrap key")
DEPLOYMENT_ID = mac(DEPLOYMENT, b"layercache 1 deployment key id")[:16]
print("wrap", WRAP.hex()); print("index", INDEX.hex()); print("tenant id", TENANT_ID.hex())
print("salt wrap", SALT_WRAP.hex()); print("deployment id", DEPLOYMENT_ID.hex())

# A generation's state: number 7, active, created at 1,700,000,000,000 ms, salt 0xA0...
head = b"LCST" + struct.pack("<HBBQQ", 1, 1, 0, 7, 1_700_000_000_000) + DEPLOYMENT_ID
print("state", (head + box(SALT_WRAP, bytes(range(12)), bytes(range(0xA0, 0xC0)), head)).hex())

# A layer manifest of generation 7: two distinct chunks; data = raw chunk, zero chunk of 4096, raw chunk again; skeleton = zstd chunk; no entries.
def envelope(plain, body):
    data_key = bytes(range(200, 232))
    sealed = plain + box(WRAP, bytes(range(12)), data_key, plain)
    return sealed + box(data_key, bytes(range(20, 32)), body, sealed)

ID1, ID2, KEY1, KEY2 = (bytes([n]) * 32 for n in (0x11, 0x22, 0x33, 0x44))
plain = b"LCMF" + struct.pack("<HBBQ", 1, 1, 0, 7) + TENANT_ID + struct.pack("<I", 2)
plain += ID1 + struct.pack("<I", 1000) + ID2 + struct.pack("<I", 700)
body = struct.pack("<BBHI", 1, 3, 2, 0) + bytes([0x55]) * 32 + struct.pack("<QQIII", 123456, 9, 3, 1, 0)
body += KEY1 + struct.pack("<I", 1000) + KEY2 + struct.pack("<I", 2000 | 1 << 24)
body += struct.pack("<IIII", 0, 1 << 31 | 4096, 0, 1)
layer = envelope(plain, body)
print("layer", hashlib.sha256(layer).hexdigest(), layer.hex())

# An image manifest of generation 7: one layer, a configuration of two bytes, one annotation.
plain = b"LCMF" + struct.pack("<HBBQ", 1, 2, 0, 7) + TENANT_ID + struct.pack("<I", 1) + bytes([0x66]) * 32
text = lambda s: struct.pack("<I", len(s.encode())) + s.encode()
body = struct.pack("<BBHII", 1, 0, 0, 2, 1) + b"{}" + bytes([0x55]) * 32 + struct.pack("<QQ", 123456, 4242) + text("base")
body += text("k") + text("wörth")
image = envelope(plain, body)
print("image", hashlib.sha256(image).hexdigest(), image.hex())

# The same image with an index, which makes it version 2.
plain = b"LCMF" + struct.pack("<HBBQ", 2, 2, 0, 7) + TENANT_ID + struct.pack("<I", 1) + bytes([0x66]) * 32 + bytes([0x88]) * 32
image = envelope(plain, body)
print("indexed image", hashlib.sha256(image).hexdigest(), image.hex())

# An index of generation 7 by version 5 of the writer: a device of 2 MiB; metadata = a full chunk of zeros and a zstd chunk of 8192;
# two extents: 512 KiB of layer 0 at 1 MiB, 100 bytes of layer 1 behind them.
plain = b"LCMF" + struct.pack("<HBBQ", 2, 3, 0, 7) + TENANT_ID + struct.pack("<I", 1) + ID2 + struct.pack("<I", 700)
body = struct.pack("<HHIQII", 5, 0, 0, 2 << 20, 2, 2) + KEY2 + struct.pack("<I", 8192 | 1 << 24) + struct.pack("<II", 1 << 31 | 1 << 19, 0)
body += struct.pack("<QQQH", 1 << 20, 1 << 19, 0, 0) + struct.pack("<QQQH", 3 << 19, 100, 4099, 1)
index = envelope(plain, body)
print("index", hashlib.sha256(index).hexdigest(), index.hex())

record = b"LCRF" + struct.pack("<HHQ", 1, 0, 7) + bytes([0x66]) * 32 + struct.pack("<Q", 1_700_000_000_000)
print("ref", (record + hashlib.sha256(record).digest()[:8]).hex())
record = b"LCLI" + struct.pack("<HH", 1, 0) + bytes([0x66]) * 32
print("layer index", mac(INDEX, b"layer", struct.pack("<HBB", 2, 3, 1), bytes([0x55]) * 32).hex(),
      (record + hashlib.sha256(record).digest()[:8]).hex())
print("image index", mac(INDEX, b"image", struct.pack("<HBB", 5, 3, 1), struct.pack("<HBB", 2, 3, 1), bytes([0x55]) * 32).hex())
print("local salt", derive(MASTER, b"layercache 1 local salt").hex())

REMEMBER = derive(MASTER, b"layercache 1 remembered ref key")
record = b"LCRM" + struct.pack("<HH", 1, 0) + mac(REMEMBER, b"acme/app:v1")[:16] + struct.pack("<QQ", 1_800_000_000_000, 7)
record += bytes([0x66]) * 32 + struct.pack("<Q", 1_700_000_000_000) + bytes([0x77]) * 32
print("remembered ref", (record + mac(REMEMBER, record)[:16]).hex())
