"""Datasets of few rows that are fitted as if they were larger than memory."""

import pytest


@pytest.fixture
def out_of_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read into memory as a whole, however small."""
    monkeypatch.setattr("skflow.estimators.training_rows.MOST_BYTES_IN_MEMORY", 0)
    monkeypatch.setattr("skflow.datasets.parquet_table.BATCH_ROWS", 700)
    monkeypatch.setattr("skflow.fitted.dataset_rows.BUCKET_ROWS", 600)


@pytest.fixture
def in_windows(out_of_core: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows are in several windows."""
    monkeypatch.setattr("skflow.fitted.dataset_rows.WINDOW_ROWS", 2000)
