"""A headless chromium for tests of pages, spoken to over a pipe."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE_SECS = 120
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
]
LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A headless chromium, spoken to over a pipe: one page, expressions in it."""

    def __init__(self, page, profile):
        (reading, self.commands), (self.answers, writing) = os.pipe(), os.pipe()
        # chromium reads commands from 3 and answers on 4.
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (reading, writing)]
        words = [*map(str, theirs), CHROMIUM, *ARGUMENTS, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *words],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (reading, writing, *theirs):
            os.close(end)
        self.number, self.session = 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        self.call("Page.enable")
        self.call("Page.navigate", url=page.as_uri())
        while self.evaluate("document.readyState") != "complete":
            pass

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self):
        message = b""
        while (byte := self._read_byte()) != b"\0":
            assert byte, "chromium went away"
            message += byte
        return message

    def _read_byte(self):
        ready, _, _ = select.select([self.answers], [], [], PATIENCE_SECS)
        assert ready, f"chromium said nothing for {PATIENCE_SECS} s"
        return os.read(self.answers, 1)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression)["result"]
        return result.get("value")

    def click(self, element):
        self.evaluate(f"document.getElementById({element!r}).click()")

    def visible(self, selector):
        return self.evaluate(
            f"[...document.querySelectorAll({selector!r})]"
            ".filter(e => e.offsetParent !== null).length"
        )

    def background(self, selector):
        return self.evaluate(
            f"getComputedStyle(document.querySelector({selector!r})).backgroundColor"
        )

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
