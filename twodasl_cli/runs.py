"""`twodasl run`: look into runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import FILE, csv_option, json_option

if TYPE_CHECKING:
    from twodasl.models.runs import Run


@click.group()
def run() -> None:
    """Describe and export runs."""


@run.command()
@click.argument("file", type=FILE)
@json_option
@csv_option
def info(file: Path, as_json: bool, as_csv: bool) -> None:
    """Show what a run holds: settings, ids, terms, and the pose, box and status of each face."""
    import json
    from collections import Counter
    from dataclasses import asdict

    from twodasl.models.runs import STATUSES, Run

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    opened = Run.load(file)
    if as_csv:
        _print_csv([_facts(opened, row) for row in range(len(opened))])
        return
    head: dict[str, Any] = {"faces": len(opened), "statuses": dict(Counter(opened.status)), **asdict(opened.info)}
    if as_json:
        click.echo(json.dumps(head | {"per_face": [_facts(opened, row) for row in range(len(opened))]}))
        return
    shown = head | {
        "statuses": ", ".join(
            f"{count} {status} ({STATUSES.get(status, '?')})" for status, count in head["statuses"].items()
        ),
        "settings": ", ".join(f"{name}={setting}" for name, setting in opened.info.settings.items()),
    }
    for key, value in shown.items():
        click.echo(f"{key.replace('_', ' '):14} {value}")
    click.echo(f"\n{'name':24}{'status':14}{'yaw':>8}{'pitch':>8}{'roll':>8}   box")
    for row in range(len(opened)):
        facts = _facts(opened, row)
        angles = "".join("       -" if facts[key] is None else f"{facts[key]:8.1f}" for key in _ANGLES)
        box = (
            "-" if facts["box"] is None else " ".join(f"{value:g}" for value in facts["box"]) + f" {facts['box_kind']}"
        )
        click.echo(f"{facts['name']:24}{facts['status']:14}{angles}   {box}")


@run.command()
@click.argument("file", type=FILE)
@json_option
@csv_option
def export(file: Path, as_json: bool, as_csv: bool) -> None:
    """Print every face with its landmarks: JSON lines (--json) or CSV (--csv), photo pixels from 0, y down."""
    import json

    from twodasl.models.runs import Run

    if as_json == as_csv:
        raise click.UsageError("say --json or --csv")
    opened = Run.load(file)
    rows = []
    for row in range(len(opened)):
        facts = _facts(opened, row)
        points = opened.landmarks[row].tolist() if opened.valid[row] else None
        if as_json:
            click.echo(json.dumps(facts | {"landmarks": points}))
            continue
        names = (f"{axis}{index}" for index in range(68) for axis in "xyz")
        flat = [""] * 204 if points is None else [repr(value) for point in points for value in point]
        rows.append(facts | dict(zip(names, flat, strict=True)))
    if as_csv:
        _print_csv(rows)


_ANGLES = ("yaw_degrees", "pitch_degrees", "roll_degrees")


def _facts(opened: "Run", row: int) -> dict[str, Any]:
    from twodasl.models.runs import face_facts

    head = {
        "name": opened.names[row],
        "face": int(opened.face[row]),
        "status": opened.status[row],
        "path": opened.paths[row],
    }
    return head | face_facts(opened.coefficients[row], opened.box[row], opened.box_kind[row], opened.image_size[row])


def _print_csv(rows: list[dict[str, Any]]) -> None:
    """Lists become one column a number: box as left, top, right, bottom, sizes as width, height."""
    import csv
    import io

    text = io.StringIO()
    columns = {"box": ("left", "top", "right", "bottom"), "image_size": ("width", "height")}
    flat = []
    for row in rows:
        line: dict[str, Any] = {}
        for key, value in row.items():
            if key in columns:
                line.update(zip(columns[key], value or [""] * len(columns[key]), strict=True))
            else:
                line[key] = "" if value is None else value
        flat.append(line)
    if not flat:
        return
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    click.echo(text.getvalue(), nl=False)
