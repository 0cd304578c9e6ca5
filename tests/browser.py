"""A headless Chromium driven over the DevTools protocol's pipe: no library, no port."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--hide-scrollbars", "--disable-quic",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--disable-dev-shm-usage", "--force-color-profile=srgb",
)  # fmt: skip
PATIENCE = 60.0  # seconds for an answer; a loaded machine draws slowly


class Browser:
    """One tab. `messages`: what its console said; `requests`: what it asked the network for, beyond files and data."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._write, self._read = to_browser, from_browser
        self._waiting, self._id, self._session = b"", 0, ""
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.events: list[dict[str, Any]] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")
        self.size(1280, 900)

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        self._id += 1
        command: dict[str, Any] = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        data = json.dumps(command).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        wanted = self._id
        while (answer := self._next()).get("id") != wanted:
            self._note(answer)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            if not select.select([self._read], [], [], PATIENCE)[0]:
                raise AssertionError(f"Chromium said nothing for {PATIENCE:.0f} s")
            data = os.read(self._read, 1 << 20)
            if not data:
                raise AssertionError("Chromium is gone")
            self._waiting += data
        line, self._waiting = self._waiting.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        method, given = event.get("method", ""), event.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.messages.append(
                f"{given['type']}: {[arg.get('value', arg.get('description')) for arg in given['args']]}"
            )
        elif method == "Runtime.exceptionThrown":
            self.messages.append(str(given["exceptionDetails"].get("exception", given)))
        elif method == "Log.entryAdded":
            self.messages.append(given["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not given["request"]["url"].startswith(("data:", "blob:")):
            self.requests.append(given["request"]["url"])
        self.events.append(event)

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file and wait until it is loaded."""
        self("Page.navigate", url="about:blank")
        self.events.clear()
        self("Page.navigate", url=path.resolve().as_uri() + fragment)
        self.wait("location.protocol === 'file:' && document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        answer = self("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.js(condition):
            if time.monotonic() > end:
                raise AssertionError(f"waited {PATIENCE:.0f} s for {condition}; console: {self.messages}")
            time.sleep(0.05)

    def size(self, width: int, height: int, scale: float = 1, mobile: bool = False) -> None:
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)

    def dark(self, on: bool = True) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self) -> bytes:
        """PNG of what the window shows."""
        return base64.b64decode(self("Page.captureScreenshot", format="png")["data"])

    def key(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text)

    def mouse(self, kind: str, x: float, y: float, held: bool = False) -> None:
        """mousePressed, mouseMoved or mouseReleased. held: the left button is down afterwards."""
        button = "none" if kind == "mouseMoved" and not held else "left"
        self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=int(held), clickCount=1)

    def click(self, selector: str) -> None:
        """A real click on the middle of an element, scrolled into view."""
        x, y = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, held=True)
        self.mouse("mouseReleased", x, y)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, held=True)
        for step in range(1, 6):
            x, y = (a + (b - a) * step / 5 for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, held=True)
        self.mouse("mouseReleased", *end)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A fresh Chromium, ended with the block."""
    assert CHROMIUM is not None
    pipes = [os.pipe(), os.pipe()]
    (their_read, our_write), (our_read, their_write) = pipes
    # Chromium reads commands from descriptor 3 and answers on 4; high numbers are out of the way of these two.
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (their_read, their_write)]
    command = f'exec "$0" "$@" 3<&{high[0]} 4>&{high[1]}'
    process = subprocess.Popen(
        ["bash", "-c", command, CHROMIUM, *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=high, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for end in (their_read, their_write, *high):
        os.close(end)
    try:
        yield Browser(our_write, our_read)
    finally:
        os.close(our_write)
        os.close(our_read)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
