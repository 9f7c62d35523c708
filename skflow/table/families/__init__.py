"""Families: the sorts of values that a stored column may hold, one file each."""

from skflow.table.families.boolean import Boolean
from skflow.table.families.category import Category
from skflow.table.families.date import Date
from skflow.table.families.duration import Duration
from skflow.table.families.family import Family
from skflow.table.families.number import Number

NUMBER, BOOLEAN, CATEGORY = Number(), Boolean(), Category()
DATE, DURATION = Date(), Duration()

#: Families by name, which a ``ColumnSpecification`` and files hold.
FAMILIES: dict[str, Family] = {
    family.name: family for family in (NUMBER, BOOLEAN, CATEGORY, DATE, DURATION)
}
