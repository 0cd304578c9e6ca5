"""Install the system libraries that open3d links, where they are missing and the system's package manager is apt.

Nothing fails for want of them: twodasl then aligns point clouds with scipy and says so.
"""

import importlib.util
import os
import shutil
import subprocess
import sys

PACKAGES = ("libegl1", "libgl1", "libx11-6", "libusb-1.0-0")


def open3d_imports() -> bool:
    """Whether a fresh interpreter can import open3d (a failed import cannot be tried again in the same one)."""
    command = [sys.executable, "-c", "import open3d"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> int:
    if importlib.util.find_spec("open3d") is None or open3d_imports():
        return 0
    prefix = [] if not hasattr(os, "geteuid") or os.geteuid() == 0 else ["sudo"]
    if shutil.which("apt-get") is None or (prefix and shutil.which("sudo") is None):
        print("open3d does not import for want of system libraries; ICP will run on scipy", file=sys.stderr)
        return 0
    install = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    for command in (["apt-get", "update"], install):
        subprocess.run([*prefix, *command], check=False, stdout=subprocess.DEVNULL)
    if not open3d_imports():
        print("open3d still does not import; ICP will run on scipy", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
