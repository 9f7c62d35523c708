"""Joint density of encoded rows as arrays: what conditional densities are integrals of."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.device import resolve_device
from skflow.flow.blocks import device_blocks
from skflow.flow.conditioner import Linear
from skflow.flow.marginals import Marginals
from skflow.flow.model import Model
from skflow.flow.recipe import WIDE
from skflow.outliers.lines import Factors, Line, LineOfMixture, LineOfWholeRows

FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.int64]

EVALUATIONS = 100  # about: nodes of the integral over a cell's column


class JointDensity:
    """Log-densities of encoded rows in nats, per unit of their encoding, as arrays.

    Accurate to 1e-5 nats: the conditioners' inputs are not quantized, which only an exact
    inverse needs, and which takes half of the time.

    Parameters
    ----------
    model : Model
        Fitted, on the CPU; it does not change.
    device : str or torch.device
        Where to compute; "auto" depends on ``n_cells``.
    n_cells : int
        Cells of the rows to explain.

    Attributes
    ----------
    marginals : Marginals
        Marginals of the model, on the CPU.
    n_factors : int
        Factors of the density of a row's values.
    """

    def __init__(self, model: Model, device: str | torch.device, n_cells: int) -> None:
        self.marginals: Marginals = model.marginals
        self._device = resolve_device(device, EVALUATIONS * n_cells)
        with torch.inference_mode():
            self._log_peaks: FloatArray = model.log_peaks().numpy()
        self.n_factors = self._log_peaks.size
        self._model = copy.deepcopy(model).to(self._device)
        for module in self._model.modules():
            if isinstance(module, Linear):
                module.fold_mask()

    def log_prob_labels(self, labels: LabelArray, novel: FloatArray) -> FloatArray:
        """Log-probability of labels and novel values, ``(n_rows, n_labelled)`` each."""
        model = self._model

        def log_prob(known: Tensor, far: Tensor) -> list[Tensor]:
            return [model.label_log_probs(known).sum(dim=0) + model.novel_log_prob(far)]

        return self._in_blocks(log_prob, labels, novel)[0]

    def log_prob_values(
        self, labels: LabelArray, values: FloatArray, *, quantize: bool = False
    ) -> FloatArray:
        """Log-density of values, ``(n_rows, n_valued)``, given labels; exact with ``quantize``."""

        def log_prob(known: Tensor, x: Tensor) -> list[Tensor]:
            return [self._model.value_log_prob(known, x, quantize=quantize)]

        return self._in_blocks(log_prob, labels, values)[0]

    def along(
        self, labels: LabelArray, values: FloatArray, k: int, *, is_exact: bool = False
    ) -> tuple[Line, Line | None]:
        """Density of values along the line of column ``k``, given labels and other values.

        Returns
        -------
        line : Line
            Where columns are many, that of the mixture alone,
        layers : Line or None
            which is to be corrected by this one, of the whole model, if it has coupling layers.
        """
        layers = None
        if len(self._model.flow.couplings):
            layers = LineOfWholeRows(self.log_prob_values, self._factors, labels, values, k)
            if is_exact or values.shape[1] <= WIDE:
                return layers, None
        known, x = (
            torch.tensor(np.ascontiguousarray(part.T), device=self._device)
            for part in (labels, values)
        )
        with torch.inference_mode():
            return LineOfMixture(self._model, known, x, k), layers

    def _factors(
        self, labels: LabelArray, values: FloatArray
    ) -> tuple[Factors, FloatArray, FloatArray]:
        """Factors of the density of values, its logarithm, and the part that has no factor."""

        def parts(known: Tensor, x: Tensor) -> list[Tensor]:
            residuals, log_det = self._model.residuals(known, x)
            return [
                residuals.log_prob() + log_det,
                log_det,
                residuals.standardised.flatten(0, 1),
                residuals.log_floors,
                residuals.log_weights,
            ]

        log_density, log_jacobian, standardised, floors, weights = self._in_blocks(
            parts, labels, values
        )
        standardised = standardised.reshape(-1, *self._log_peaks.shape)
        return Factors(standardised, floors, weights, self._log_peaks), log_density, log_jacobian

    def _in_blocks(
        self, function: Callable[..., Sequence[Tensor]], *arrays: NDArray
    ) -> list[NDArray]:
        """Apply a function to rows of arrays, block by block: each row is a column there.

        Its results have rows in the last axis, and their joined arrays in the first.
        """
        parts = []
        for block in device_blocks(len(arrays[0]), self._model):
            with block:
                rows = (np.ascontiguousarray(array[block.rows].T) for array in arrays)
                results = function(*(torch.tensor(part, device=self._device) for part in rows))
                parts.append([part.cpu().numpy().T for part in results])
        return [np.concatenate(part) for part in zip(*parts, strict=True)]
