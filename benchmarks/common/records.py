"""Results that are kept, one JSON object a line, so that nothing is measured twice."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"


def add_arguments(parser: ArgumentParser, name: str) -> None:
    """Add the arguments of every benchmark of several methods."""
    parser.add_argument("--results", type=Path, default=RESULTS / f"{name}.jsonl")
    parser.add_argument(
        "--methods", nargs="+", default=[""], metavar="BEGINNING", help="as their names begin"
    )
    parser.add_argument("--fresh", nargs="+", metavar="BEGINNING", help="measure these again")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--page", action="store_true", help="write the pages of all there is")


def read_records(path: Path) -> list[dict]:
    """Return every result that is kept in ``path``."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def drop_records(path: Path, jobs: Iterable[dict]) -> None:
    """Remove the results of ``jobs`` from ``path``."""
    jobs = list(jobs)
    kept = [record for record in read_records(path) if not any(is_of(record, job) for job in jobs)]
    written = path.with_suffix(".new")
    written.write_text("".join(json.dumps(record) + "\n" for record in kept))
    written.replace(path)


def drop_fresh(arguments: Namespace, jobs: Iterable[dict]) -> None:
    """Remove the results of those jobs whose methods ``--fresh`` names: they are measured again."""
    if arguments.fresh:
        fresh = tuple(arguments.fresh)
        drop_records(arguments.results, [job for job in jobs if job["method"].startswith(fresh)])


def measure_missing(
    path: Path,
    jobs: Iterable[dict],
    measure: Callable[..., dict],
    libraries: Sequence[str],
    shown: Sequence[str],
) -> None:
    """Measure each of ``jobs`` that ``path`` lacks, and keep it as soon as it is there.

    A job is what ``measure`` takes as keywords and what its result is known by: both, the
    date and the versions of ``libraries`` make up the line. ``shown`` of the result are
    printed. The file is read before each job, so that several processes can share the work.
    """
    path.parent.mkdir(exist_ok=True)
    versions = {library: version(library) for library in libraries}
    for job in jobs:
        if any(is_of(record, job) for record in read_records(path)):
            continue
        record = job | measure(**job)
        record |= {"date": date.today().isoformat(), "versions": versions}
        with path.open("a") as lines:
            lines.write(json.dumps(record) + "\n")
        print(*job.values(), *(record[name] for name in shown), sep="  ", flush=True)


def is_of(record: dict, job: dict) -> bool:
    """Return whether a result is that of a job."""
    return all(record.get(name) == value for name, value in job.items())
