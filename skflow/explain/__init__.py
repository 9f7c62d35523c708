"""Why a row is strange, column by column, and what would have been normal."""
