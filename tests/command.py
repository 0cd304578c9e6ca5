"""Run `twodasl` in this process, as a shell would."""

import contextlib
import io
from typing import Any

from twodasl_cli.main import main


def run_command(*arguments: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `twodasl ARGUMENTS`."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, out.getvalue(), err.getvalue()
