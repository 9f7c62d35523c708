"""The parser of the command line and its help."""

import argparse
from collections.abc import Callable
from importlib.metadata import version
from math import inf
from typing import Any, NoReturn

DESCRIPTION = """\
How likely is each row of a table? Fit a density to a table in a CSV or Parquet
file, then score other files, find the outliers in them, or draw new rows."""

EXAMPLES = """\
examples:
  skflow fit visits.csv -o visits.skflow          learn what rows are like
  skflow score visits.skflow new.csv -o nats.csv  log-density of each new row
  skflow sample visits.skflow -n 1000 -o more.csv new rows

  skflow fit visits.csv -o watch.skflow --outliers
  skflow outliers watch.skflow new.csv --only     strange rows, and why
  skflow report watch.skflow new.csv -o new.html  the same as a page to look at

Tables are UTF-8 text with a header (.csv, .tsv, .csv.gz, .tsv.gz) or Parquet (.parquet,
which needs pyarrow); - is standard input or output. Each command has a --help of its own."""

FIT = """\
Read a table, learn how likely its rows are, and save the model. Nothing needs to be
encoded, filled in or scaled. The type of each column is printed at the end: look
at it. Text that is all dates (2026-01-31, 2026-01-31T13:45) is dates, other text
categories; empty cells are missing values. Identifiers and free text are refused by
name: --drop them."""

FIT_EXAMPLES = """\
examples:
  skflow fit visits.csv -o visits.skflow --drop id name
  skflow fit visits.csv -o visits.skflow --categorical zip ward
  skflow fit visits.csv -o visits.skflow --sep ';'
  skflow fit survey.csv -o survey.skflow --weight design_weight
  skflow fit visits.parquet -o watch.skflow --outliers --robust
  skflow fit 'visits/*.parquet' -o visits.skflow
  skflow fit large.csv -o large.skflow --max-time 3600 --checkpoint large.checkpoint"""

SCORE = """\
Write one number per row, in the order of the file: log_density, in nats, of the
model's columns as they are (dates per second). Higher is likelier; positive values
are normal. Compare rows under one model, or two models on the same rows. For a model
of outliers it is the log-density of the density inside."""

SCORE_EXAMPLES = """\
examples:
  skflow score visits.skflow new.csv                    on the screen
  skflow score visits.skflow new.csv -o nats.csv
  skflow score visits.skflow large.parquet -o nats.parquet --n-jobs 4
  skflow score visits.skflow new.csv.gz --sep ';' --keep -o scored.csv
  skflow score visits.skflow 'new/*.parquet' -o nats/   a file for each, resumable
  tail -n +1 new.csv | skflow score visits.skflow - | sort -n | head"""

OUTLIERS = """\
Write for each row its p_value, the share of normal rows that are as strange, to 4 digits;
whether it is an outlier; and for outliers the columns that are strangest given the others of
the row (reason_1, ...), with the log-probability of a cell that is no likelier
(log_prob_1, ...; -4.6 is one in a hundred). The model must be fitted with --outliers."""

OUTLIERS_EXAMPLES = """\
examples:
  skflow outliers watch.skflow new.csv --only
  skflow outliers watch.skflow new.csv --top 10 --keep
  skflow outliers watch.skflow new.csv --alpha 0.001 --reasons 1 -o strange.csv
  skflow outliers watch.skflow new.csv --only --keep -o strange.csv"""

REPORT = """\
Write one HTML page about the outliers of a table, which any browser opens: how many rows are
flagged and how many false alarms to expect, the flagged rows with reasons, usual ranges and
repairs, and what has changed against training. It needs no server and makes no request. The
model must be fitted with --outliers."""

REPORT_EXAMPLES = """\
examples:
  skflow report watch.skflow new.csv -o report.html
  skflow report watch.skflow new.parquet -o report.html --title 'Visits of Monday'"""

SAMPLE = """\
Write new rows, with the columns, grids, labels and missing values of the table
that was fitted. None of its rows is in the model, but values that are common in it are."""

SAMPLE_EXAMPLES = """\
examples:
  skflow sample visits.skflow -n 1000 -o more.csv
  skflow sample visits.skflow -n 5 --random-state 0"""

INSPECT = """\
Say what a model file holds: class, parameters that are not the defaults, how well it
scored rows that it was not fitted to, and what each column was taken for."""

INSPECT_EXAMPLES = """\
example:
  skflow inspect visits.skflow"""

HELP = {
    "TABLE to fit": "training rows: a table, held in memory; or a folder or a pattern in quotes, "
    "such as 'rows/*.parquet', which may be larger than memory",
    "TABLE": "rows with the model's columns, in any order; others are ignored",
    "TABLES": "rows with the model's columns, in any order; others are ignored. Or a folder of "
    "Parquet files, or a pattern in quotes: FILE is then a folder, and answers that are there are "
    "skipped, unless the model or the rows have changed",
    "MODEL": "what skflow fit, or save, wrote",
    "MODEL to write": "model file to write; .skflow is customary",
    "drop": "leave out",
    "categorical": "labels, not numbers, whatever they look like; leading zeros stay",
    "weight": "how much each row counts, as a share of all; no column of the model. A row of "
    "weight 0 is as if it were not there",
    "sep": "between the cells of TABLE, such as ';' or '\\t', a tab (default: a comma; a tab in "
    ".tsv files)",
    "max-iter": "at most (default: by the rows)",
    "max-time": "at most (default: no limit)",
    "random-state": "whole number; the same one gives the same result (default: chance)",
    "checkpoint": "keep the state after each epoch; the same command then goes on from there. "
    "Delete it when the model is saved; with --outliers also FILE.0, FILE.1, ...",
    "outliers": "fit what skflow outliers needs; takes longer",
    "robust": "the table may hold outliers, which are left out of the fit",
    "contamination": "share of the table's rows to call outliers, up to 0.5 "
    "(default: so many that 1 %% of normal rows are called outliers)",
    "alpha": "call rows outliers whose p-value is at most this (default: as the model's predict "
    "does, by the threshold that was set at fit)",
    "reasons": "columns to name for each outlier (default: %(default)s)",
    "only": "write outliers only, the strangest first, with the number of their row; the first "
    "row is 0",
    "top": "write the N strangest rows only, the strangest first, outliers or not, each with its "
    "columns",
    "page": "page to write; .html is customary",
    "title": "title of the page (default: Outlier report)",
    "keep": "write the table's own columns in front",
    "n-rows": "rows (default: %(default)s)",
    "output": "table to write (default: CSV on standard output)",
    "batch-rows": "rows in memory at a time (default: %(default)s)",
    "n-jobs": "processes; -1 is one per core (default: %(default)s)",
    "device": "auto, cpu or cuda[:index] (default: %(default)s)",
    "quiet": "no progress bar and no notes; warnings and errors are shown",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"skflow: error: {message}. See {self.prog} --help.\n")


def build_parser() -> Parser:
    """Return the parser of all commands.

    In what it parses, ``inputs`` names the arguments that are files to read, and ``tables``
    those that are tables.
    """
    as_written = argparse.RawDescriptionHelpFormatter
    parser = Parser("skflow", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=as_written)
    parser.add_argument("--version", action="version", version=f"skflow {version('skflow')}")
    known = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str, description: str, examples: str) -> Parser:
        added: Parser = known.add_parser(
            name, help=summary, description=description, epilog=examples, formatter_class=as_written
        )
        return added

    _add_fit(command("fit", "learn what rows are like", FIT, FIT_EXAMPLES))
    score = command("score", "log-density of each row", SCORE, SCORE_EXAMPLES)
    _add_model_and_table(score, "TABLES")
    score.set_defaults(only=False, top=None)
    _add_streaming(score)
    outliers = command("outliers", "strange rows, and why", OUTLIERS, OUTLIERS_EXAMPLES)
    _add_model_and_table(outliers, "TABLES")
    _add_outliers(outliers)
    _add_streaming(outliers)
    _add_report(command("report", "page about strange rows", REPORT, REPORT_EXAMPLES))
    _add_sample(command("sample", "new rows", SAMPLE, SAMPLE_EXAMPLES))
    inspect = command("inspect", "what a model is", INSPECT, INSPECT_EXAMPLES)
    inspect.add_argument("model", metavar="MODEL", help=HELP["MODEL"])
    inspect.set_defaults(device="cpu", inputs=["model"], tables=[])
    return parser


def _add_fit(command: Parser) -> None:
    command.set_defaults(inputs=["table"], tables=["table"])
    add = command.add_argument
    add("table", metavar="TABLE", help=HELP["TABLE to fit"])
    model: dict[str, Any] = {"dest": "model", "metavar": "MODEL", "required": True}
    add("-o", "--output", help=HELP["MODEL to write"], **model)
    add = command.add_argument_group("columns").add_argument
    add("--drop", nargs="+", default=[], metavar="COLUMN", help=HELP["drop"])
    add("--categorical", nargs="+", default=[], metavar="COLUMN", help=HELP["categorical"])
    add("--weight", metavar="COLUMN", help=HELP["weight"])
    add("--sep", type=_delimiter, metavar="CHARACTER", help=HELP["sep"])
    add = command.add_argument_group("training").add_argument
    add("--max-iter", type=_positive_int, metavar="EPOCHS", help=HELP["max-iter"])
    add("--max-time", type=_positive_float, metavar="SECONDS", help=HELP["max-time"])
    add("--random-state", type=_seed, metavar="SEED", help=HELP["random-state"])
    add("--checkpoint", metavar="FILE", help=HELP["checkpoint"])
    add = command.add_argument_group("outliers").add_argument
    add("--outliers", action="store_true", help=HELP["outliers"])
    add("--robust", action="store_true", help=HELP["robust"])
    add("--contamination", type=_share, metavar="SHARE", help=HELP["contamination"])
    _add_device(command)


def _add_model_and_table(command: Parser, tables: str = "TABLE") -> None:
    command.set_defaults(inputs=["model", "table"], tables=["table", "output"])
    add = command.add_argument
    add("model", metavar="MODEL", help=HELP["MODEL"])
    add("table", metavar="TABLE", help=HELP[tables])
    add("--sep", type=_delimiter, metavar="CHARACTER", help=HELP["sep"])


def _add_outliers(command: Parser) -> None:
    add = command.add_argument
    add("--alpha", type=_share_of_all, metavar="P", help=HELP["alpha"])
    add("--reasons", type=_whole, default=3, metavar="K", help=HELP["reasons"])
    add("--only", action="store_true", help=HELP["only"])
    add("--top", type=_positive_int, metavar="N", help=HELP["top"])


def _add_streaming(command: Parser) -> None:
    command.add_argument("--keep", action="store_true", help=HELP["keep"])
    _add_output(command)
    command.add_argument("--n-jobs", type=_jobs, default=1, metavar="N", help=HELP["n-jobs"])
    _add_device(command)


def _add_report(command: Parser) -> None:
    _add_model_and_table(command)
    command.set_defaults(command="write_report", tables=["table"])
    command.add_argument("-o", "--output", metavar="FILE", required=True, help=HELP["page"])
    command.add_argument("--title", metavar="TEXT", help=HELP["title"])
    _add_device(command)


def _add_sample(command: Parser) -> None:
    command.set_defaults(inputs=["model"], tables=["output"])
    add = command.add_argument
    add("model", metavar="MODEL", help=HELP["MODEL"])
    add("-n", "--n-rows", type=_positive_int, default=1, metavar="N", help=HELP["n-rows"])
    add("--random-state", type=_seed, metavar="SEED", help=HELP["random-state"])
    _add_output(command)
    _add_device(command)


def _add_output(command: Parser) -> None:
    add = command.add_argument
    add("-o", "--output", default="-", metavar="FILE", help=HELP["output"])
    rows: dict[str, Any] = {"type": _positive_int, "default": 50_000, "metavar": "N"}
    add("--batch-rows", help=HELP["batch-rows"], **rows)


def _add_device(command: Parser) -> None:
    command.add_argument("--device", default="auto", help=HELP["device"])
    command.add_argument("-q", "--quiet", action="store_true", help=HELP["quiet"])


def _number_in(kind: type, holds: Callable[[Any], bool], expected: str) -> Callable[[str], Any]:
    """Return a parser of numbers for argparse."""

    def parse(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not holds(number):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return number

    return parse


def _delimiter(text: str) -> str:
    delimiter = text.replace("\\t", "\t")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise argparse.ArgumentTypeError(
            f"expected one character, neither a quote nor an end of line, got {text!r}"
        )
    return delimiter


_positive_int = _number_in(int, lambda number: number >= 1, "a whole number from 1 on")
_whole = _number_in(int, lambda number: number >= 0, "a whole number from 0 on")
_seed = _number_in(int, lambda number: 0 <= number < 2**32, "a whole number from 0 to 2**32 - 1")
_jobs = _number_in(int, lambda number: number != 0, "a whole number but 0")
_positive_float = _number_in(float, lambda number: 0 < number < inf, "a number above 0")
_share = _number_in(float, lambda number: 0 < number <= 0.5, "a number above 0, up to 0.5")
_share_of_all = _number_in(float, lambda number: 0 < number <= 1, "a number above 0, up to 1")
