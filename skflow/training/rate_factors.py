r"""Shares of the learning rate for parameters that a full step would move too far.

A step of the optimizer moves a parameter by about the learning rate, whatever the density is like.
Where the density is sharp, such a step undoes what the initialization knows. Three kinds of
parameters therefore take a share of it.

* What coupling layers put out, and the effects of conditions, in a column of sharpness :math:`S_j`
  (:meth:`~skflow.flow.mixture.Mixture.sharpness`): :math:`\min(1, (10 / S_j)^2)`.
* Regressions of the mixture, which make the mean of column j under component k, with the scale
  :math:`s_{kj}`: :math:`\min(1, 10 \, s_{kj})`.
* Effects of labels on the means of all components: the geometric mean of these over k.
"""

import torch
from torch import Tensor

from skflow.flow.conditional_flow import ConditionalFlow
from skflow.flow.effects import ConditionEffects, LabelEffects
from skflow.flow.model import Part

MAX_SHARPNESS = 10.0  # of a density, per unit of a gaussianized value, that full steps keep


def rate_factors(part: Part) -> dict[str, Tensor]:
    """Return the shares of a part of a model, as it was initialized, by the parameter's name.

    All other parameters take full steps, and so do those of labels.
    """
    if not isinstance(part, ConditionalFlow):
        return {}
    mixture = part.mixture
    factors = {}
    sharp = (MAX_SHARPNESS / mixture.sharpness()).square().clamp_max(1.0)
    if (sharp < 1).any():
        for name, parameter in part.couplings.named_parameters(prefix="couplings"):
            if name.endswith((".output_layer.weight", ".output_layer.bias")):
                rows = sharp.repeat(len(parameter) // len(sharp))
                factors[name] = rows.view(-1, *[1] * (parameter.ndim - 1)).to(parameter)
    narrow = (MAX_SHARPNESS * mixture.log_scale.detach().exp()).clamp_max(1.0)
    of_all = narrow.log().mean(dim=0, keepdim=True).exp()
    if (narrow < 1).any():
        of_regressions = narrow if len(mixture.coefficients) == len(narrow) else of_all
        factors["mixture.intercept"] = narrow
        factors["mixture.coefficients"] = of_regressions[:, :, None]
    # Logits take full steps.
    for i, effect in enumerate(mixture.effects):
        name = f"mixture.effects.{i}"
        if isinstance(effect, ConditionEffects) and (sharp < 1).any():
            logits = sharp.new_ones(len(effect.weight) - len(sharp))
            factors[f"{name}.weight"] = torch.cat((logits, sharp))[:, None].to(effect.weight)
        if isinstance(effect, LabelEffects) and (narrow < 1).any():
            logits = of_all.new_ones(1, len(narrow))
            factors[f"{name}.table"] = torch.cat((logits, of_all), dim=1)
    return factors
