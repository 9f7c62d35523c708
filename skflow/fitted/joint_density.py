"""The joint density of encoded rows, of labels and of values apart: what conditionals come from."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.device import resolve_device
from skflow.fitted.blocks import device_blocks, join, send
from skflow.flow.model import Model
from skflow.outliers.peaks import Factors

FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.int64]


class JointDensity:
    """Log-density of rows as they are encoded, in nats per unit of the encoding.

    It is exact to 1e-5 nats: inputs of the conditioners are not quantized, which only an exact
    inverse needs, and which doubles the work.

    Parameters
    ----------
    model : Model
        In float64, on the CPU. It is copied once, and once more for a GPU.
    n_columns : int
        Entries of a row.
    device : str or torch.device
        Where to compute; see :func:`skflow.device.resolve_device`.
    """

    def __init__(self, model: Model, n_columns: int, device: str | torch.device) -> None:
        self.n_columns = n_columns
        self.device = device
        self.model = copy.deepcopy(model)
        self.model.values.mixture.train()
        with torch.inference_mode():
            self.log_peaks = self.model.values.mixture.log_peaks().numpy()
        self._moved: dict[torch.device, Model] = {torch.device("cpu"): self.model}

    @property
    def n_factors(self) -> int:
        """Number of Gaussian factors of a row."""
        return self.log_peaks.size

    def log_prob_labels(self, labels: LabelArray, novel: FloatArray) -> FloatArray:
        """Log-probability of labels, ``(n_rows, n_labelled)``, with novel numbers, likewise."""
        model, parts = self._model_for(len(labels)), []
        for block in device_blocks(len(labels), model):
            with block:
                sent = [
                    send(array[block.rows], model.value_label.device) for array in (labels, novel)
                ]
                log_prob = model.labels.log_prob(sent[0]) + model.labels.novel_log_prob(sent[1])
                parts.append(log_prob.cpu())
        return join(parts)

    def log_prob_values(self, labels: LabelArray, values: FloatArray) -> FloatArray:
        """Log-density of values, ``(n_rows, n_valued)``, given labels."""
        model, parts = self._model_for(len(labels)), []
        for block in device_blocks(len(labels), model):
            with block:
                sent = [
                    send(array[block.rows], model.value_label.device) for array in (labels, values)
                ]
                parts.append(model.values.log_prob(*sent).cpu())
        return join(parts)

    def factors(self, labels: LabelArray, values: FloatArray) -> Factors:
        """Return the density of values given labels, factor by factor."""
        model, parts = self._model_for(len(labels)), []
        for block in device_blocks(len(labels), model):
            with block:
                sent = [
                    send(array[block.rows], model.value_label.device) for array in (labels, values)
                ]
                residuals, log_det = model.values.residuals(*sent)
                tensors: tuple[Tensor, ...] = (
                    residuals.log_prob() + log_det,
                    log_det,
                    residuals.standardised.flatten(0, 1),
                    residuals.log_floors,
                    residuals.log_weights,
                )
                parts.append([tensor.cpu() for tensor in tensors])
        arrays = [join(list(tensors)) for tensors in zip(*parts, strict=True)]
        return Factors(
            log_density=arrays[0],
            log_jacobian=arrays[1],
            standardised=arrays[2].reshape(-1, *self.log_peaks.shape),
            log_floors=arrays[3],
            log_weights=arrays[4],
            log_peaks=self.log_peaks,
        )

    def _model_for(self, n_rows: int) -> Model:
        """Return the model on the device that suits so many rows."""
        device = resolve_device(self.device, n_rows * self.n_columns)
        if device not in self._moved:
            self._moved[device] = copy.deepcopy(self.model).to(device)
        return self._moved[device]


def move_model(model: Model, n_cells: int, device: str | torch.device) -> Model:
    """Return a model on the device that suits so many cells: itself on the CPU, else a copy."""
    where = resolve_device(device, n_cells)
    return model if where.type == "cpu" else copy.deepcopy(model).to(where)
