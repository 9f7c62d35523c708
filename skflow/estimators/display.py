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


def _threshold_html(detector: Any) -> str:
    rule = "" if detector.contamination != "auto" else ", which is a p-value of at most 0.01"
    if rule and detector.n_calibration_ < 99:
        rule = ", where 1 % of normal rows are expected"
    return (
        f"<p>Outliers score below {detector.offset_:.4g}{rule}. P-values are counted among "
        f"{detector.n_calibration_:,} calibration rows.</p>"
    )
