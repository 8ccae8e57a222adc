"""Files to send, and their sums."""
import hashlib
import pathlib
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


def shared_path(work, size):
    return pathlib.Path(work) / f"shared-{size}"


def make_shared(work, size):
    """A file of `size` bytes that many tests link to; its sha256."""
    path, note = shared_path(work, size), shared_path(work, size).with_suffix(".sha256")
    if not note.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(make_file(path, size))
    return note.read_text()
