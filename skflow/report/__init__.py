"""Reports: what the methods say about a table, as one page that needs no server."""

from skflow.report.density import DensityReport
from skflow.report.outliers import OutlierReport

__all__ = ["DensityReport", "OutlierReport"]
