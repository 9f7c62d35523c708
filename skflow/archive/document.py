"""Fields of a model file's document: their names, types and ranges.

A document is checked against these classes by msgspec when it is read: no field may be missing,
of another type or out of range, and there may be no others.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from skflow.table.constraints.numbers import Rounding
from skflow.table.constraints.part import Part
from skflow.table.storage import Library

LARGEST = 1.7976931348623157e308  # finite floats lie within
MAX_SIZE = 2**31
MAX_ROWS = 2**53

Finite = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Meta(gt=0.0, le=LARGEST)]
Probability = Annotated[float, Meta(gt=0.0, le=1.0)]
Index = Annotated[int, Meta(ge=0, le=MAX_SIZE)]
Size = Annotated[int, Meta(ge=1, le=MAX_SIZE)]
Rows = Annotated[int, Meta(ge=0, le=MAX_ROWS)]
Word = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Marker = Literal["NaN", "NA", "NaT", "None"]
Scalar = Any  # see skflow.archive.scalars
Dtype = Any  # see skflow.archive.dtypes


# Errors of what no check foresaw, in a file that nobody saved.
UNSOUND = (
    *(ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, AttributeError),
    msgspec.ValidationError,  # no ValueError in early versions
)


class Fields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An object of a document."""


class RecipeFields(Fields):
    """Sizes of a model that do not follow from the columns."""

    n_layers: Index
    hidden_units: Size
    n_bins: Annotated[int, Meta(ge=2, le=MAX_SIZE)]
    n_blocks: Index
    dropout: Annotated[float, Meta(ge=0.0, le=1.0)]
    bound: Annotated[float, Meta(ge=1.0, le=100.0)]


class ObjectFields(Fields):
    """Numbers that are Python objects in a column: their type, and NumPy's that holds them."""

    python_type: Literal["int", "float", "Decimal"]
    values: Literal["int64", "uint64", "float64"]


class SchemaFields(Fields):
    """Inferred kind, levels, grid and support of a column."""

    name: str
    dtype: str
    family: str
    kind: str
    levels: list[Scalar]
    missing: list[Marker]
    atoms: list[Scalar]
    step: Scalar
    low: Scalar
    high: Scalar
    rounding: Annotated[list[Scalar], Meta(max_length=16)] = []
    n_left_out: Annotated[int, Meta(ge=0, le=2**62)] = 0
    is_given: bool = False
    is_implied: bool = False
    n_not_implied: Annotated[int, Meta(ge=0, le=2**62)] = 0


class ConstraintFields(Fields, tag_field="form"):
    """A column that others imply."""

    target: str
    operands: Annotated[list[str], Meta(min_length=1)]


class NumericFields(ConstraintFields):
    """A number that others imply, rounded to a step."""

    step: Positive | None
    rounding: Rounding


class LinearFields(NumericFields, tag="linear"):
    """A sum of multiples of other columns."""

    coefficients: list[Finite]
    intercept: Finite


class ProductFields(NumericFields, tag="product"):
    """A product or a ratio of two columns."""

    operands: Annotated[list[str], Meta(min_length=2, max_length=2)]
    powers: tuple[Literal[1], Literal[1, -1]]
    factor: Finite


class PartFields(ConstraintFields, tag="part"):
    """The hour or the minute of a time of day."""

    operands: Annotated[list[str], Meta(min_length=1, max_length=1)]
    part: Part


class MappingFields(ConstraintFields, tag="mapping"):
    """Values of a column, for values of another."""

    operands: Annotated[list[str], Meta(min_length=1, max_length=1)]
    pairs: Annotated[list[tuple[Scalar, Scalar]], Meta(min_length=1)]


AnyConstraint = LinearFields | ProductFields | PartFields | MappingFields


class WholeSchemaFields(Fields):
    """Columns of a table, and the constraints between them."""

    columns: list[SchemaFields]
    constraints: list[AnyConstraint] = []


class PowerOfTwoFields(Fields, tag_field="form", tag="power of two"):
    """A division by a power of two."""

    exponent: Annotated[int, Meta(ge=-1100, le=1100)]
    scale: Positive


class AsinhFields(Fields, tag_field="form", tag="asinh"):
    """An inverse hyperbolic sine."""

    centre: Finite
    pivot: Positive


class NearZeroAsinhFields(Fields, tag_field="form", tag="asinh near zero"):
    """An inverse hyperbolic sine of numbers near 0, after another scaling."""

    base: PowerOfTwoFields | AsinhFields
    edge: Positive
    pivot: Positive


ScalingFields = PowerOfTwoFields | AsinhFields | NearZeroAsinhFields


class CategoryFields(Fields):
    """Labels of a column of categories, as fitted."""

    unseen: Probability
    rarest: Annotated[list[Index], Meta(min_length=1)]


class NumberFields(CategoryFields):
    """Labels and coordinates of a column of numbers, as fitted."""

    origin: int | None
    narrow: bool | None
    scaling: ScalingFields
    smallest: Annotated[float, Meta(ge=0.0, le=LARGEST)]
    fills_gaps: bool = False


class ColumnFields(Fields):
    """One column; its codec is that of its schema's family."""

    markers: list[Marker]
    schema: SchemaFields
    codec: dict[str, Any]
    objects: ObjectFields | None = None


class IndexFields(Fields):
    """A pandas index, of column names or categories."""

    labels: list[Scalar]
    dtype: Dtype
    name: Scalar


class TableFields(Fields):
    """Container and columns."""

    container: Library
    names: IndexFields | None
    dtypes: list[Dtype]
    columns: Annotated[list[ColumnFields], Meta(min_length=1)]
    constraints: list[AnyConstraint] = []


class StateFields(Fields):
    """The state of a RandomState."""

    words: Annotated[list[Word], Meta(min_length=624, max_length=624)]
    place: Annotated[int, Meta(ge=0, le=624)]
    has_gauss: Annotated[int, Meta(ge=0, le=1)]
    gauss: Finite


class ClustersFields(Fields):
    """Names of the members, and levels that have an axis of their own.

    In files of version 0.1 a member is named by its number of clusters, later by its position.
    """

    n_clusters: Annotated[list[Size], Meta(min_length=1)]
    levels: list[list[Index] | None]


class DensityFields(Fields, tag_field="class", tag="FlowDensity"):
    """A fitted FlowDensity."""

    parameters: dict[str, Any]
    n_iter: Rows
    best_validation_score: Scalar
    inverse_error: tuple[Scalar, Scalar]
    device: str
    output: Literal["default", "pandas", "polars"] | None
    table: TableFields
    named: bool
    recipe: RecipeFields
    has_missing: bool = False  # values among the training rows: these have an embedding then


class HolderFields(Fields, tag_field="class"):
    """A fitted estimator that has a density."""

    parameters: dict[str, Any]
    n_iter: Rows
    density: DensityFields


class ImputerFields(HolderFields, tag="FlowImputer"):
    """A fitted FlowImputer."""

    indicated: list[Index]
    output: Literal["default", "pandas", "polars"] | None
    other_fits: list[DensityFields] = []


class DetectorFields(HolderFields, tag="FlowOutlierDetector"):
    """A fitted FlowOutlierDetector."""

    offset: Finite
    clusters: ClustersFields
    unfitted: list[Index] = []


class RegressorFields(HolderFields, tag="FlowRegressor"):
    """A fitted FlowRegressor."""

    cross_fits: list[DensityFields]
    initial_fits: list[DensityFields]
    initial_share: Annotated[float, Meta(ge=0, lt=1)]
    named: bool
    dtypes: Annotated[list[str], Meta(min_length=1)]
    is_table: bool
    spread: Annotated[float, Meta(gt=0, le=1)] = 1.0


class ClassifierFields(HolderFields, tag="FlowClassifier"):
    """A fitted FlowClassifier."""

    named: bool
    classes: Annotated[list[Scalar], Meta(min_length=1)]
    dtype: str


EstimatorFields = (
    DensityFields | ImputerFields | DetectorFields | RegressorFields | ClassifierFields
)
