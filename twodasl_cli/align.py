"""`twodasl align`: iterated closest points of any two clouds."""

from pathlib import Path

import click

from .options import FILE, json_option, output_option, overwrite_option


@click.command()
@click.argument("target", type=FILE)
@click.argument("source", type=FILE)
@click.option(
    "--method", type=click.Choice(["icp", "2dasl", "plane"]), default="icp", show_default=True,
    help="icp: point to point; plane: point to plane; 2dasl: the original's iteration, its wrong rotation included.",
)  # fmt: skip
@output_option("The moved SOURCE: .ply, .npy or text (.txt, .asc, .xyz).", required=False)
@overwrite_option
@json_option
def align(target: Path, source: Path, method: str, output: Path | None, overwrite: bool, as_json: bool) -> None:
    """Move SOURCE onto TARGET by iterated closest points, and show every step.

    Clouds or meshes: .ply, .obj, .glb, .stl, .off, .asc, .txt, .xyz, .csv, .npy, or .mat ('vertex', or another variable
    as FILE.mat:NAME). They are turned and shifted, not scaled, starting with centre on centre.
    """
    import json
    from dataclasses import replace

    from twodasl.evaluation.align import TRACES, align_clouds
    from twodasl.evaluation.clouds import read_cloud, write_cloud
    from twodasl.models.files import check_output

    if output is not None:
        check_output(output, overwrite)
    moving = read_cloud(source)
    result = align_clouds(read_cloud(target), moving, method)  # type: ignore[arg-type]  # click.Choice
    if output is not None:
        write_cloud(output, replace(moving, vertices=result.moved))
    if as_json:
        click.echo(json.dumps(result.as_dict()))
        return
    click.echo(f"{method}: {TRACES[result.method]}")
    for step, (points, error) in enumerate(zip(result.points, result.trace, strict=True), 1):
        click.echo(f"{step:4}  {points:7} points  {error:.9g}")
    click.echo(f"converged after {result.iterations} steps on all points; RMSE to the nearest points {result.rmse:.6g}")
    if result.index_mean is not None:
        click.echo(f"points of equal index: mean distance {result.index_mean:.6g}, largest {result.index_max:.6g}")
    click.echo("moved = (source - its mean) @ rotation + place")
    for row in result.rotation:
        click.echo("  rotation " + " ".join(f"{value: .9f}" for value in row))
    click.echo("  place    " + " ".join(f"{value: .9g}" for value in result.place))
