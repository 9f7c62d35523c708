"""FlowRegressor and FlowClassifier as documents and arrays, and back."""

from typing import Any

import numpy as np

from skflow.archive.document import ClassifierFields, RegressorFields
from skflow.archive.files import Document
from skflow.archive.scalars import pack_scalar, unpack_scalar
from skflow.estimators.calibration import Calibration
from skflow.estimators.persistence import SaveableHolder, pack_fits, unpack_fit
from skflow.exceptions import ModelFileError
from skflow.flat_state import Arrays, prefixed, take_prefixed

TARGET_KINDS = "iufMm"  # numbers, dates, durations
FITS = ("cross_fits", "initial_fits")  # of a regressor, besides its density


class SaveablePredictor(SaveableHolder):
    """An estimator that has a density of y given X: the table that is fitted ends with y."""

    def _pack_density(self: Any) -> tuple[Document, Arrays]:
        document, arrays = super()._pack_density()
        return document | {"named": hasattr(self, "feature_names_in_")}, arrays

    def _unpack_density(self: Any, fields: Any, arrays: Arrays, density_class: type[Any]) -> None:
        super()._unpack_density(fields, arrays, density_class)
        container, codec = self.density_._density.container, self.density_._density.codec
        n_given = len(codec.conditions)
        if codec.conditions != list(range(n_given)) or not codec.targets:
            raise ModelFileError("The columns that are given must come first, targets last.")
        self.n_features_in_ = n_given
        vars(self).pop("feature_names_in_", None)
        if fields.named:
            self.feature_names_in_ = np.array(container.names[:n_given], dtype=object)


class SaveableRegressor(SaveablePredictor):
    """FlowRegressor as a document and arrays."""

    def _pack(self: Any) -> tuple[Document, Arrays]:
        document, arrays = self._pack_density()
        document |= {
            "dtypes": [dtype.str for dtype in self._dtypes],
            "is_table": self._is_table,
        }
        calibration = {"pit": self._calibration.pit, "weight": self._calibration.weight}
        arrays |= prefixed("calibration", calibration)
        document |= {"initial_share": self.initial_share_, "spread": self.spread_}
        for name in FITS:
            document[name], of_fits = pack_fits(name, getattr(self, f"{name}_"))
            arrays |= of_fits
        return document, arrays

    def _unpack(
        self: Any, fields: RegressorFields, arrays: Arrays, density_class: type[Any]
    ) -> None:
        self._unpack_density(fields, arrays, density_class)
        self._dtypes = [np.dtype(name) for name in fields.dtypes]
        self._is_table = fields.is_table
        n_targets = len(self.density_._density.codec.targets)
        if any(dtype.kind not in TARGET_KINDS for dtype in self._dtypes):
            raise ModelFileError(f"{fields.dtypes} must be dtypes of numbers, dates or durations.")
        if len(self._dtypes) != n_targets or (n_targets > 1 and not self._is_table):
            raise ModelFileError(f"There must be one dtype for each of {n_targets} targets.")
        for name in FITS:
            fits = getattr(fields, name)
            if any(own.table != fields.density.table for own in fits):
                raise ModelFileError(f"{name} must have the columns of the density.")
            unpacked = [
                unpack_fit(density_class, own, f"{name}{k}", arrays) for k, own in enumerate(fits)
            ]
            setattr(self, f"{name}_", unpacked)
        if bool(self.initial_fits_) != (fields.initial_share > 0):
            raise ModelFileError(
                "initial_share must be 0 where there are no initial_fits, only there."
            )
        self.initial_share_, self.spread_ = fields.initial_share, fields.spread
        calibration = take_prefixed("calibration", arrays)
        if sorted(calibration) != ["pit", "weight"]:
            raise ModelFileError("The calibration must be pit and weight.")
        pit, weight = calibration["pit"], calibration["weight"]
        for array in (pit, weight):
            if array.dtype != np.float64 or array.ndim != 2 or array.shape != pit.shape:
                raise ModelFileError("The calibration must be two tables of the same shape.")
        sound = (pit >= 0).all() and (pit <= 1).all() and (np.diff(pit, axis=0) >= 0).all()
        sound = sound and (weight > 0).all() and np.isfinite(weight).all()
        if pit.shape[1] != 2 * n_targets or not sound:
            raise ModelFileError("The calibration must be sorted probabilities, and weights.")
        self._calibration = Calibration(pit, weight)
        self.n_calibration_ = len(pit)


class SaveableClassifier(SaveablePredictor):
    """FlowClassifier as a document and arrays."""

    def _pack(self: Any) -> tuple[Document, Arrays]:
        document, arrays = self._pack_density()
        document |= {
            "classes": [pack_scalar(label) for label in self.classes_.tolist()],
            "dtype": self.classes_.dtype.str,
        }
        return document, arrays

    def _unpack(
        self: Any, fields: ClassifierFields, arrays: Arrays, density_class: type[Any]
    ) -> None:
        self._unpack_density(fields, arrays, density_class)
        labels = [unpack_scalar(label) for label in fields.classes]
        self.classes_ = np.empty(len(labels), dtype=np.dtype(fields.dtype))
        self.classes_[:] = labels
        codec = self.density_._density.codec
        n_labels = [codec.columns[j].labels.n_known for j in codec.targets]
        if n_labels != [len(labels)]:
            raise ModelFileError(f"There must be {n_labels} classes; there are {len(labels)}.")
