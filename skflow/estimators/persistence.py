"""Estimators as documents and arrays, which files hold, and back."""

import math
import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skflow.archive.detectors import (
    pack_calibration,
    pack_clusters,
    unpack_calibration,
    unpack_clusters,
    unpack_label_log_tails,
)
from skflow.archive.document import DensityFields, DetectorFields, ImputerFields
from skflow.archive.files import Document, refuse_left, write
from skflow.archive.flows import pack_recipe, unpack_model, unpack_recipe
from skflow.archive.parameters import pack_parameter, unpack_device, unpack_parameter
from skflow.archive.scalars import pack_scalar, unpack_scalar
from skflow.archive.table import pack_table, unpack_table
from skflow.exceptions import ModelFileError
from skflow.fitted.detector import Detector, FittedScorers
from skflow.fitted.round_trip import InverseError
from skflow.fitted.table_density import TableDensity
from skflow.flat_state import Arrays, prefixed, take_prefixed
from skflow.flow.recipe import MISSING_EMBEDDING, model_state
from skflow.table.storage import StoredTable
from skflow.training.loop import History

FORMAT = "skflow model"
VERSION = 1
CLASSES = (
    "FlowClassifier",
    "FlowDensity",
    "FlowImputer",
    "FlowOutlierDetector",
    "FlowRegressor",
)


LATER_PARAMETERS = {"constraints"}  # which earlier files lack: they have their defaults


class Saveable:
    """What can be saved in a file of its own."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the fitted estimator in a file, which :func:`skflow.load` reads.

        The file holds numbers and text only; nothing in it is ever run. It is written
        whole or not at all: what was there before stays until then. It can be read by
        every later version, and on machines without the GPU that it was fitted on.
        Requests of metadata (``set_fit_request``) are not in it.

        Parameters
        ----------
        path : str or path-like
            Any name; ``.skflow`` is customary.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        OSError
            Where there is no such folder, no room or no permission.
        TypeError
            Where a category, a dtype or a parameter is of a type that no file holds.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np, skflow
        >>> X = np.random.default_rng(0).normal(size=(60, 2))
        >>> flow = skflow.FlowDensity(n_layers=0, random_state=0).fit(X)
        >>> path = os.path.join(tempfile.mkdtemp(), "model.skflow")
        >>> flow.save(path)
        >>> bool((skflow.load(path).score_samples(X) == flow.score_samples(X)).all())
        True
        """
        check_is_fitted(self)
        document, arrays = self._pack()
        head = {"format": FORMAT, "version": VERSION, "written_by": version("skflow")}
        write(path, head | document, arrays)

    def _pack(self) -> tuple[Document, Arrays]:
        raise NotImplementedError

    def _pack_head(self: Any) -> Document:
        """Return class, parameters and epochs."""
        if not type(self).__module__.startswith("skflow."):
            raise TypeError(
                f"A model file holds {' or '.join(CLASSES)}, not {type(self).__name__}, whose code "
                "it could not hold. Save it with joblib.dump."
            )
        parameters = _pack_parameters(self)
        return {"class": type(self).__name__, "parameters": parameters, "n_iter": int(self.n_iter_)}


def _pack_parameters(estimator: Any) -> Document:
    """Return parameters by name; those of an estimator in the place of the parameter it is."""
    return {
        name: _pack_parameters(value) if hasattr(value, "get_params") else pack_parameter(value)
        for name, value in estimator.get_params(deep=False).items()
    }


def unpack_parameters(estimator: Any, packed: Document, density: Any = None) -> None:
    """Set the parameters of :func:`_pack_parameters`, a ``density`` among them."""
    others = packed.keys() ^ estimator.get_params(deep=False).keys()
    if others & packed.keys() or others - LATER_PARAMETERS:
        raise ModelFileError(f"{type(estimator).__name__} has other parameters.")
    given = dict(packed)
    of_density = given.pop("density", None)
    given = {name: unpack_parameter(value) for name, value in given.items()}
    if of_density is not None:
        unpack_parameters(density, of_density)
        given["density"] = density
    estimator.set_params(**given)
    estimator._validate_params()


class SaveableDensity(Saveable):
    """FlowDensity as a document and arrays."""

    def _pack(self: Any) -> tuple[Document, Arrays]:
        density: TableDensity = self._density
        document = self._pack_head() | {
            "best_validation_score": pack_scalar(float(self.best_validation_score_)),
            "inverse_error": [pack_scalar(float(number)) for number in self.inverse_error_],
            "device": self.device_,
            "output": getattr(self, "_sklearn_output_config", {}).get("transform"),
            "table": pack_table(density.container, density.codec),
            "named": hasattr(self, "feature_names_in_"),
            "recipe": pack_recipe(density.recipe),
        }
        history = {name: np.array(x, dtype=np.float64) for name, x in self.history_.items()}
        model = model_state(density.model)
        if MISSING_EMBEDDING in model:
            document["has_missing"] = True
        return document, prefixed("model", model) | prefixed("history", history)

    def _unpack(self: Any, fields: DensityFields, arrays: Arrays) -> None:
        unpack_parameters(self, fields.parameters)
        self.n_iter_ = fields.n_iter
        self.best_validation_score_ = unpack_scalar(fields.best_validation_score)
        errors = [unpack_scalar(number) for number in fields.inverse_error]
        if any(type(error) is not float or math.isinf(error) for error in errors):
            raise ModelFileError(f"inverse_error must be two finite numbers; it is {errors}.")
        self.inverse_error_ = InverseError(*errors)
        self.device_ = str(unpack_device(fields.device))
        if fields.output is not None:
            self.set_output(transform=fields.output)
        container, codec = unpack_table(fields.table)
        recipe = unpack_recipe(fields.recipe, codec.layout)
        self.history_ = _unpack_history(take_prefixed("history", arrays))
        model = unpack_model(recipe, take_prefixed("model", arrays), has_missing=fields.has_missing)
        self._density = TableDensity(container, codec, recipe, model)
        self.schema_ = codec.schema
        self._n_features_out = len(codec.latent_names)
        self.n_features_in_ = len(codec.columns)
        if fields.named:
            self.feature_names_in_ = np.array(container.names, dtype=object)
        _refuse_scoreless(self._density.log_prob(_middle_of(self._density), "cpu"))


def pack_fits(name: str, fits: Sequence[Any]) -> tuple[list[Document], Arrays]:
    """Return the documents of several densities, and their arrays under numbered names."""
    documents: list[Document] = []
    arrays: Arrays = {}
    for k, density in enumerate(fits):
        document, own = density._pack()
        documents.append(document)
        arrays |= prefixed(f"{name}{k}", own)
    return documents, arrays


def unpack_fit(density_class: type[Any], fields: DensityFields, name: str, arrays: Arrays) -> Any:
    """Return the density of a document, whose arrays have names that begin with ``name``."""
    density, own = density_class(), take_prefixed(name, arrays)
    density._unpack(fields, own)
    refuse_left(own)
    return density


class SaveableHolder(Saveable):
    """An estimator that has a density, ``density_``."""

    def _pack_density(self: Any) -> tuple[Document, Arrays]:
        density, arrays = self.density_._pack()
        return self._pack_head() | {"density": density}, prefixed("density", arrays)

    def _unpack_density(self: Any, fields: Any, arrays: Arrays, density_class: type[Any]) -> None:
        unpack_parameters(self, fields.parameters, density_class())
        self.n_iter_ = fields.n_iter
        self.density_ = unpack_fit(density_class, fields.density, "density", arrays)
        self.n_features_in_ = self.density_.n_features_in_
        if hasattr(self.density_, "feature_names_in_"):
            self.feature_names_in_ = self.density_.feature_names_in_


class SaveableDetector(SaveableHolder):
    """FlowOutlierDetector as a document and arrays."""

    def _pack(self: Any) -> tuple[Document, Arrays]:
        detector: Detector = self._detector
        document, arrays = self._pack_density()
        clusters, of_clusters = pack_clusters(detector.scorers.clusters)
        calibration = pack_calibration(detector.combiner, detector.calibration)
        document |= {"offset": float(self.offset_), "clusters": clusters}
        unfitted = np.flatnonzero(detector.scorers.unfitted).tolist()
        if unfitted:
            document["unfitted"] = unfitted
        arrays |= prefixed("clusters", of_clusters) | prefixed("calibration", calibration)
        arrays["label_log_tails"] = detector.scorers.label_log_tails
        return document, arrays

    def _unpack(
        self: Any, fields: DetectorFields, arrays: Arrays, density_class: type[Any]
    ) -> None:
        self._unpack_density(fields, arrays, density_class)
        self.offset_, fitted = fields.offset, self.density_._density
        of_clusters = take_prefixed("clusters", arrays)
        clusters = unpack_clusters(fields.clusters, of_clusters, fitted.codec)
        n_clustered = sum(len(member.bandwidths) for member in clusters.members)
        calibration = take_prefixed("calibration", arrays)
        combiner, tail = unpack_calibration(calibration, n_clustered, clusters.category_share)
        unfitted = np.zeros(fitted.recipe.n_entries, dtype=bool)
        unfitted[fields.unfitted] = True
        log_tails = unpack_label_log_tails(arrays, len(unfitted))
        scorers = FittedScorers(fitted, clusters, unfitted, log_tails)
        self._detector = Detector(scorers, combiner, tail)
        self.n_calibration_ = len(tail.scores)
        measures = scorers.measure(_middle_of(fitted), "cpu")
        _refuse_scoreless(np.append(measures, combiner.log_prob(measures)))


class SaveableImputer(SaveableHolder):
    """FlowImputer as a document and arrays."""

    def _pack(self: Any) -> tuple[Document, Arrays]:
        document, arrays = self._pack_density()
        output = getattr(self, "_sklearn_output_config", {}).get("transform")
        document |= {"indicated": self.indicated_.tolist(), "output": output}
        document["other_fits"], of_others = pack_fits("other_fit", self._other_fits)
        return document, arrays | of_others

    def _unpack(self: Any, fields: ImputerFields, arrays: Arrays, density_class: type[Any]) -> None:
        self._unpack_density(fields, arrays, density_class)
        self._other_fits = []
        for k, of_fit in enumerate(fields.other_fits):
            density = unpack_fit(density_class, of_fit, f"other_fit{k}", arrays)
            if density.schema_ != self.density_.schema_:
                raise ModelFileError("All fits must have the columns of the density.")
            self._other_fits.append(density)
        n_columns = self.n_features_in_
        if fields.indicated != sorted({j for j in fields.indicated if j < n_columns}):
            raise ModelFileError(f"indicated must be some of {n_columns} columns, ascending.")
        self.indicated_ = np.array(fields.indicated, dtype=np.intp)
        if fields.output is not None:
            self.set_output(transform=fields.output)


def _middle_of(density: TableDensity) -> StoredTable:
    """Return the row whose latents are all 0; a condition of it is the middle of its columns."""
    latents = np.zeros((1, len(density.codec.latent_names)))
    middle = density.inverse(latents, "cpu", given=density.middle_condition())
    return density.container.read(middle)


def _refuse_scoreless(scores: Any) -> None:
    """Raise where numbers that are each sound give the middle row no score."""
    if not np.isfinite(scores).all():
        raise ModelFileError("The model has no score in its own middle.")


def _unpack_history(arrays: Arrays) -> dict[str, list[float]]:
    names = list(History().as_dict())
    shapes = {array.shape for array in arrays.values()}
    is_float = all(array.dtype == np.float64 for array in arrays.values())
    alike = is_float and len(shapes) == 1 and len(next(iter(shapes))) == 1
    if sorted(arrays) != sorted(names) or not alike:
        raise ModelFileError(f"history must be {', '.join(names)}, equally long.")
    return {name: arrays[name].tolist() for name in names}
