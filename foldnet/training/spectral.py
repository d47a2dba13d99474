"""Spectral normalisation: after a step of training, no weight of a network's steps stretches anything by more than it
may."""

import torch
from torch import Tensor, nn

from foldnet.errors import SettingError
from foldnet.sharing.share import Bank, SharedNetwork
from foldnet.sharing.tied import TiedLayers


class SpectralNorm:
    """Scales down the weights of a network of steps that are above a spectral norm, as Gouk et al.
    (https://arxiv.org/abs/1804.04368) do after each step of the optimiser.

    That of a convolution is the norm of its matrix (O, I * kernel) (Miyato et al., https://arxiv.org/abs/1802.05957),
    here exact: W W^t is small. A weight is scaled by what its layer has for itself, so that layers stay as alike as
    they are, and fold: its row of coefficients, or its gain. Fixed coefficients stay, and the templates of their group
    are scaled by what the largest of its weights needs.

    How this may fail: the map of a convolution may stretch by up to the root of its taps more than its matrix.
    """

    def __init__(self, model: nn.Module, most: float) -> None:
        """Raises SettingError for a network without steps."""
        from foldnet.zoo.steps import StepNetwork

        network = model.network if isinstance(model, SharedNetwork) else model
        if not isinstance(network, StepNetwork):
            raise SettingError(f"`spectral_norm={most:g}` needs a network of steps, such as scnn-20-32-1; leave it out")
        self.most, self.sources = most, list(model.sources.values()) if isinstance(model, SharedNetwork) else []
        self.own = list(network.body.parameters())  # without norms they are the weights, those that are not shared

    @torch.no_grad()
    def __call__(self) -> None:
        """Scale what is too large, in place."""
        for weight in self.own:
            weight.mul_(self._scales([weight]).view(()))
        for source in self.sources:
            assert isinstance(source, Bank | TiedLayers)
            scales = self._scales(source.layer_weights())
            if isinstance(source, TiedLayers):
                source.gains.mul_(scales)
            elif source.coefficients.requires_grad:
                source.coefficients.mul_(scales[:, None])
            else:
                source.templates.mul_(scales.min())

    def _scales(self, weights: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
        """By how much L weights (O, I, *kernel) are too large: factors of at most 1, (L,)."""
        flat = torch.stack([weight.flatten(1) for weight in weights]).double()
        largest = torch.linalg.eigvalsh(flat @ flat.mT)[:, -1].clamp(min=0).sqrt()
        scales: Tensor = self.most / largest.clamp(min=self.most)
        return scales.to(weights[0].dtype)
