"""The top of the command line: which commands there are, versions, and what becomes of an error."""

import importlib
import os
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from typing import NoReturn

import click

COMMANDS = {
    "demo": ".demo:demo",
    "infer": ".infer:infer",
    "fit": ".fit:fit",
    "eval": ".evaluate:evaluate",
    "align": ".align:align",
    "render": ".render:render",
    "train": ".train:train",
    "run": ".runs:run",
    "weights": ".weights:weights",
    "model": ".model:model",
    "data": ".data:data",
}

# The libraries whose version can change a number that twodasl prints.
VERSIONED = ("numpy", "scipy", "torch", "scikit-image", "open3d", "pillow", "h5py")

EXIT_ERROR, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 3, 130
PEACE = 20  # seconds to clean up in, before another Ctrl-C counts


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module, __package__), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # click would exit with 1, which says that something was wrong
            raise ReaderLeftError from error


class ReaderLeftError(Exception):
    """The reader of our output (head, jq) has had enough."""


def _show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    for name, number in versions():
        click.echo(f"{name} {number}")
    ctx.exit()


def versions() -> list[tuple[str, str]]:
    """twodasl, Python, and the libraries whose version can change a number."""
    from importlib.metadata import PackageNotFoundError, version

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    found = [("twodasl", installed("twodasl")), ("Python", sys.version.split()[0])]
    return found + [(name, installed(name)) for name in VERSIONED]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version,
    help="Show the versions of twodasl and of the libraries that change numbers.",
)  # fmt: skip
def cli() -> None:
    """Posed, dense 3D faces from photos: infer, measure and draw.

    Results go to stdout, progress and notes to stderr. Exit code 0: done; 1: something handed over is wrong;
    2: usage; 3: some inputs failed, named on stderr and in the run; 130: interrupted.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit. Errors the user can put right become one line on stderr."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():  # off, somebody else's, or out of reach
        _run(arguments)
    stop = _Stop()
    signal.signal(signal.SIGINT, stop)
    try:
        _run(arguments)
    finally:
        if not stop.asked:  # else the process is about to end, in peace too
            signal.signal(signal.SIGINT, signal.default_int_handler)


class _Stop:
    """A Ctrl-C stops the command; more of them while it puts away what is half-written would stop that, and do nothing."""

    def __init__(self) -> None:
        self.asked = 0.0

    def __call__(self, _number: int, _frame: object) -> None:
        if not self.asked or time.monotonic() - self.asked > PEACE:
            self.asked = time.monotonic()
            raise KeyboardInterrupt


def _run(arguments: list[str] | None) -> NoReturn:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\b")  # odd EXIF, palettes: the pixels are what counts
            code = cli.main(args=arguments, prog_name="twodasl", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except ReaderLeftError:  # leave without a word, as other filters do
        _drop_output()
        sys.exit(128 + getattr(signal, "SIGPIPE", 13))
    except OSError as error:  # no place left where the output goes, names too long: whatever no command foresaw
        click.echo(f"Error: {error}", err=True)
        _drop_output()
        sys.exit(EXIT_ERROR)
    except Exception as error:
        from twodasl.models.errors import TwodaslError

        if not isinstance(error, TwodaslError):
            raise
        click.echo(f"Error: {' '.join(str(error).splitlines())}", err=True)  # names may hold line ends
        sys.exit(EXIT_ERROR)
    sys.exit(code if isinstance(code, int) else 0)


def _drop_output() -> None:
    """Python tries to write the rest once more when it ends."""
    with suppress(OSError, ValueError):  # closed, or not a file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
