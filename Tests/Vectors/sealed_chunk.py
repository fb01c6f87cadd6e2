"""Prints the known answers of SealedChunkTests, computed without any code of this project:
Python's hashlib, hmac and cryptography, and the zstd command line."""
import hashlib, hmac, struct, subprocess
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SALT = bytes(range(32))

def seal(codec, plain, text):
    key = hmac.new(SALT, bytes([codec]) + struct.pack("<I", len(plain)) + hashlib.sha256(text).digest(), "sha256").digest()
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    sealed = encryptor.update(text) + encryptor.finalize()
    return key.hex(), hashlib.sha256(sealed).hexdigest(), sealed.hex()

raw = bytes(range(1, 32))
print("raw", seal(0, raw, raw))
block = b"".join(hashlib.sha256(struct.pack("<I", i)).digest() for i in range(512 * 1024 // 32))
print("raw 512 KiB", seal(0, block, block)[:2])
text = b"the same line again and again\n" * 1000
frame = subprocess.run(["zstd", "-1", "--no-check", "--single-thread", "-c", f"--stream-size={len(text)}"], input=text, stdout=subprocess.PIPE, check=True).stdout
print("zstd", len(frame), seal(1, text, frame)[:2])
