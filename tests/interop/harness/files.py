"""Files to send, and their sums."""
import hashlib
import random

_PIECE = 1 << 20


def make_file(path, size, seed=1):
    """Writes `size` bytes that depend on nothing but the seed; returns their sha256."""
    generator, digest, left = random.Random(seed), hashlib.sha256(), size
    with open(path, "wb") as file:
        while left > 0:
            piece = generator.randbytes(min(left, _PIECE))
            file.write(piece)
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
