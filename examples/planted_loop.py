"""A loop that is known to be there: plant it in the coefficients of an untrained network, and fold it without any error.

    python examples/planted_loop.py

prints stage2's program `private; 3x { A }` and relative differences below 1e-6: signs and lengths of the planted rows differ,
which |cos| does not see and gains restore.
"""

import torch

import foldnet


def main() -> None:
    """Plant, fold, compare."""
    torch.manual_seed(0)
    soft = foldnet.build("swrn-28-1-4").eval()
    with torch.no_grad():
        rows = soft.sources["stage2"].coefficients  # (6 layers, 4 templates): conv1, conv2 of blocks 1 to 3
        rows[2], rows[3] = -0.5 * rows[0], 2.0 * rows[1]
        rows[4], rows[5] = 1.5 * rows[0], -3.0 * rows[1]

    folded = foldnet.fold(soft, threshold=1.0)
    print(folded.report.program)

    x = torch.randn(8, 3, 32, 32)
    with torch.no_grad():
        expected, unrolled, looping = soft(x), folded.tied(x), folded.looped(x)
    print(f"tied to soft:   {(unrolled - expected).norm() / expected.norm():.1e}")
    print(f"looped to tied: {(looping - unrolled).norm() / unrolled.norm():.1e}")


if __name__ == "__main__":
    main()
