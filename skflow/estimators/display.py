"""HTML representation of fitted estimators in notebooks: schema and threshold."""

from typing import Any


class SchemaDisplay:
    """Mixin that adds the schema, and a detector's threshold, to scikit-learn's representation."""

    def _html_repr(self) -> str:
        shown: str = super()._html_repr()  # type: ignore[misc]
        schema = getattr(getattr(self, "density_", self), "schema_", None)
        if schema is None:
            return shown
        threshold = _threshold_html(self) if hasattr(self, "offset_") else ""
        return shown + threshold + str(schema._repr_html_())


def flagged_where(detector: Any) -> str:
    """Return the rule behind a detector's threshold, as the end of a sentence about it."""
    if detector.contamination != "auto":
        return f", as {100 * detector.contamination:g} % of the training rows do"
    if detector.n_calibration_ < 99:
        return ", where 1 % of normal rows are expected"
    return ", which is a p-value of at most 0.01"


def _threshold_html(detector: Any) -> str:
    return (
        f"<p>Outliers score below {detector.offset_:.4g}{flagged_where(detector)}. P-values are "
        f"counted among {detector.n_calibration_:,} calibration rows.</p>"
    )
