"""python -m foldnet_cli."""

from foldnet_cli.main import main

main()
