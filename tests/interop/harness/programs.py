"""Programs that a test starts: leat, nginx, anything else. A Program's output goes to a log in the test's folder."""
import signal
import subprocess
import time

from .isolate import Failure


def wait_until(condition, timeout=10.0, what="the condition"):
    """Returns the first true value of condition(); looks every few milliseconds."""
    deadline, pause = time.monotonic() + timeout, 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {timeout} s for {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


class Program:
    """A process in the background. `stop` ends it and checks its exit code; the test's end stops what still runs."""

    def __init__(self, name, command, log, stdin=subprocess.DEVNULL, env=None):
        self.name = name
        self.log = log
        self.command = [str(part) for part in command]
        with open(log, "wb") as file:
            self.process = subprocess.Popen(self.command, stdin=stdin, stdout=file, stderr=subprocess.STDOUT, env=env)

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def tail(self):
        return "\n".join(f"    | {line}" for line in self.output().splitlines()[-30:])

    def is_running(self):
        return self.process.poll() is None

    def check_running(self):
        if not self.is_running():
            raise Failure(f"{self.name} ended early with {self.process.returncode}:\n{self.tail()}")
        return True

    def wait_for(self, condition, timeout=10.0, what="readiness"):
        """wait_until, which also fails at once when the program ends."""
        try:
            return wait_until(lambda: self.check_running() and condition(), timeout, f"{what} of {self.name}")
        except Failure as failure:
            raise failure if "ended early" in str(failure) else Failure(f"{failure}:\n{self.tail()}") from None

    def wait_for_output(self, text, timeout=10.0):
        return self.wait_for(lambda: text in self.output(), timeout, f"'{text}' in the output")

    def wait(self, timeout=60.0, expect=0):
        """Waits for the program to end by itself."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} still runs after {timeout} s:\n{self.tail()}") from None
        if expect is not None and code != expect:
            raise Failure(f"{self.name} ended with {code}, not {expect}:\n{self.tail()}")
        return code

    def stop(self, expect=0, timeout=15.0):
        """SIGTERM, then the exit code must be `expect` (None: any)."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait(timeout, expect)
        finally:
            if self.is_running():
                self.process.kill()
                self.process.wait()
