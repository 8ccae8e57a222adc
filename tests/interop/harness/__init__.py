"""What an interop test is made of; see README.md in tests/interop."""
from .capture import check_capture, tshark_fields
from .files import make_file, sha256
from .test import Failure, Skipped, Test

__all__ = ["Failure", "Skipped", "Test", "check_capture", "make_file", "sha256", "tshark_fields"]
