"""foldnet verify."""

from typing import Annotated, Any

import typer

from foldnet_cli.options import DataDir, Device, FoldArgument


def verify(
    fold: FoldArgument = None,
    no_data: Annotated[bool, typer.Option("--no-data", help="Compare on random inputs only.")] = False,
    images: Annotated[
        int | None, typer.Option(min=1, help="Compare on so many test images.  [default: all]", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    device: Device = "auto",
) -> Any:
    """Compute again that a fold is what it says, and write its certificate.json.

    Compares soft with dense and tied with looped, layer by layer, and counts what the files hold. Fails if a promise is broken.
    """
    from foldnet.recipes.verify import verify as recipe
    from foldnet_cli.progress import watching

    with watching() as observer:
        return recipe(fold, data=not no_data, images=images, data_dir=data_dir, device=device, observer=observer)
