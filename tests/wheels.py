"""Published wheels that tests read as archives: from a place that the environment names, or the package index."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def published_wheel(variable: str, requirement: str, folder: Path) -> Path:
    """The wheel of `name==version`; the test is skipped where it is not to be had."""
    named = os.environ.get(variable)
    if named:
        return Path(named)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([*command, "--dest", str(folder), requirement], check=True, capture_output=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"the wheel {requirement} is not to be had ({error}); {variable} names a copy")
    (wheel,) = folder.glob("*.whl")
    return wheel
