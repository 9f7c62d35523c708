"""What can be asked for, and how it is told."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter, _SubParsersAction
from importlib.metadata import version
from typing import TypeAlias

BATCH_ROWS = 50_000

ABOUT = """Exact, reversible densities of tables: how likely each row is, which rows are not like
the others and why, and new rows. Tables are CSV files, or Parquet files with the extra
"parquet"; "-" is standard input, and results go to standard output if -o names no file."""

EXAMPLES = """first steps:
  skflow fit train.csv -o model.skflow           learn a table
  skflow inspect model.skflow                    what each column was taken for
  skflow score model.skflow new.csv              log-density of each row
  skflow sample model.skflow -n 100              new rows

outliers:
  skflow fit train.csv --outliers -o model.skflow
  skflow outliers model.skflow new.csv --only    strange rows, and which cells are to blame

"skflow COMMAND --help" tells more of each."""

FIT = """Learn a table of any columns. CSV columns whose texts are all ISO 8601 dates are taken for
dates; what each column was taken for is told at the end."""
FIT_EXAMPLES = """examples:
  skflow fit train.csv -o model.skflow
  skflow fit train.csv -o model.skflow --drop id name --categorical room
  skflow fit train.parquet -o model.skflow --outliers --random-state 0
  skflow fit train.csv -o model.skflow --checkpoint fit.checkpoint    goes on where it stopped"""

SCORE = """Write the log-density of each row, in nats and in the table's own units: one column,
log_density, a line per row. Higher is more normal. Rows are read, scored and written in
batches, so that files larger than memory will do."""
SCORE_EXAMPLES = """examples:
  skflow score model.skflow new.csv > scores.csv
  skflow score model.skflow new.parquet -o scores.parquet --n-jobs 2
  skflow score model.skflow new.csv --keep -o new_with_scores.csv"""

OUTLIERS = """Write for each row its p-value, the share of normal rows that are as strange; whether
it is an outlier, by --alpha; and of outliers the columns to blame, the strangest first, each
with the log-probability that a draw given the row's other cells is no likelier. The model has
to be fitted with --outliers."""
OUTLIERS_EXAMPLES = """examples:
  skflow outliers model.skflow new.csv --only
  skflow outliers model.skflow new.csv --alpha 0.001 --reasons 5 --keep -o checked.csv"""

SAMPLE = "Draw new rows, like those that were fitted."
SAMPLE_EXAMPLES = """examples:
  skflow sample model.skflow -n 1000 > rows.csv
  skflow sample model.skflow -n 1000 --random-state 0 -o rows.parquet"""

INSPECT = "Tell what a model is: its columns, what they are taken for, how it was fitted."
INSPECT_EXAMPLES = """example:
  skflow inspect model.skflow"""

Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"


def make_parser() -> ArgumentParser:
    """Return the parser of all commands."""
    parser = ArgumentParser(
        "skflow",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"skflow {version('skflow')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_fit(commands)
    _add_score(commands)
    _add_outliers(commands)
    _add_sample(commands)
    _add_inspect(commands)
    return parser


def _add(commands: Commands, name: str, summary: str, about: str, examples: str) -> ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=about,
        epilog=examples,
        formatter_class=RawDescriptionHelpFormatter,
    )


def _add_fit(commands: Commands) -> None:
    parser = _add(commands, "fit", "learn a table", FIT, FIT_EXAMPLES)
    add = parser.add_argument
    add("table", help="CSV or Parquet file of training rows")
    add("-o", "--output", required=True, metavar="MODEL", help="file to save the model in")
    add("--outliers", action="store_true", help="fit what 'skflow outliers' needs")
    add("--drop", nargs="+", default=[], metavar="COLUMN", help="columns to leave out")
    add(
        "--categorical",
        nargs="+",
        metavar="COLUMN",
        help="columns whose numbers only name things; texts are categories anyway",
    )
    add("--max-time", type=float, metavar="SECONDS", help="of training, at most")
    add("--max-iter", type=int, metavar="EPOCHS", help="of training, at most")
    add("--random-state", type=int, metavar="SEED", help="for fits that repeat")
    add("--device", default="auto", help='"cpu", "cuda" or "auto" (default)')
    add("--checkpoint", metavar="FILE", help="where an interrupted fit goes on from")
    add("--robust", action="store_true", help="with --outliers: training rows may hold some")
    add("--quiet", action="store_true", help="tell nothing but errors")


def _add_stream(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("model", help="file that 'skflow fit' saved")
    add("table", help='CSV or Parquet file; "-" for CSV from standard input')
    add("-o", "--output", metavar="FILE", help="CSV or Parquet, by its name")
    add("--keep", action="store_true", help="write the table's own columns in front")
    add("--n-jobs", type=int, default=1, metavar="N", help="processes (default 1; -1: all cores)")
    add(
        "--batch-rows",
        type=int,
        default=BATCH_ROWS,
        metavar="N",
        help=f"rows at a time (default {BATCH_ROWS:,})",
    )
    add("--device", default="auto", help='"cpu", "cuda" or "auto" (default)')


def _add_score(commands: Commands) -> None:
    _add_stream(_add(commands, "score", "log-density of each row", SCORE, SCORE_EXAMPLES))


def _add_outliers(commands: Commands) -> None:
    parser = _add(commands, "outliers", "strange rows, and why", OUTLIERS, OUTLIERS_EXAMPLES)
    _add_stream(parser)
    add = parser.add_argument
    add("--alpha", type=float, default=0.01, help="p-value up to which a row is an outlier (0.01)")
    add("--reasons", type=int, default=3, metavar="K", help="columns to blame (default 3)")
    add("--only", action="store_true", help="write outliers only")


def _add_sample(commands: Commands) -> None:
    parser = _add(commands, "sample", "new rows", SAMPLE, SAMPLE_EXAMPLES)
    add = parser.add_argument
    add("model", help="file that 'skflow fit' saved")
    add("-n", "--n-rows", type=int, default=1, metavar="N", help="rows (default 1)")
    add("--random-state", type=int, metavar="SEED", help="for rows that repeat")
    add("-o", "--output", metavar="FILE", help="CSV or Parquet, by its name")
    add("--device", default="auto", help='"cpu", "cuda" or "auto" (default)')


def _add_inspect(commands: Commands) -> None:
    parser = _add(commands, "inspect", "what a model is", INSPECT, INSPECT_EXAMPLES)
    parser.add_argument("model", help="file that 'skflow fit' saved")
