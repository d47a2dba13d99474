"""The main job from Python: train a soft network on digits, see which layers came alike, fold it, check it, draw it.

    python examples/fold_digits.py

With 30 epochs (half a minute on two cores) the layers of each stage come to be one, every stage loops, and the folded
network is right on as many of the 360 test images as the soft one, give or take two, with less than half of its parameters.
"""

import argparse
from pathlib import Path

import foldnet


def main() -> None:
    """Train, measure, fold, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("runs/example"))
    arguments = parser.parse_args()

    trained = foldnet.train(
        dataset="digits", arch="swrn-28-2-4", epochs=arguments.epochs, out=arguments.out, force=True
    )
    print(f"soft: {trained.test_right} of {trained.test_images} right, {trained.parameters:,} parameters")

    for group in foldnet.lsm(arguments.out).groups:
        print(
            f"{group.name}: most alike {group.max_off_diagonal:.3f}, chance stays below {group.chance.network_q95:.3f}"
        )

    folded = foldnet.fold(arguments.out, out=arguments.out / "fold", force=True, threshold=0.95).report
    print(folded.program)
    right = round((folded.accuracy.recalibrated or 0) * (folded.accuracy.images or 0))
    print(f"folded: {right} of {folded.accuracy.images} right, {folded.parameters.folded:,} parameters")

    network = foldnet.load(arguments.out / "fold")  # an nn.Module that loops
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters in the network that was loaded again")
    print("drawn:", foldnet.draw(arguments.out / "fold", arguments.out / "graph.json", force=True))


if __name__ == "__main__":
    main()
