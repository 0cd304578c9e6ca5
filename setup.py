"""Maps the top-level folders to the `twodasl` namespace; everything else is in setup.cfg.

The list of packages is computed: a written-out list works in an editable install and silently
leaves a new sub-package out of the wheel.
"""

from setuptools import find_packages, setup

ROOMS = ("evaluation", "rendering", "models")
room_packages = find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])

setup(
    packages=[f"twodasl.{name}" for name in room_packages] + find_packages(include=["twodasl_cli", "twodasl_cli.*"]),
    package_dir={f"twodasl.{room}": room for room in ROOMS},
)
