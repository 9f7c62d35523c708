import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skflow import FlowOutlierDetector
from skflow.plotting import ReasonsDisplay
from tests.plotting.conftest import numbers, subscriptions
from tests.settings import ONE_GAUSSIAN
from tests.tables import unfitted


def widths(display: ReasonsDisplay) -> list[float]:
    return [bar.get_width() for bar in display.ax_.patches]


def lines(display: ReasonsDisplay) -> list[list[str]]:
    """The two lines beside each bar."""
    return [text.get_text().split("\n") for text in display.ax_.get_yticklabels()]


def test_bars_are_the_scores_of_columns_the_strangest_on_top(mixed: FlowOutlierDetector) -> None:
    row = subscriptions()[-1:]
    display = ReasonsDisplay.from_estimator(mixed, row)
    scores = np.asarray(mixed.score_features(row))[0]
    assert widths(display) == sorted(-scores, reverse=True)
    heights = [bar.get_y() for bar in display.ax_.patches]
    assert heights == sorted(heights)
    assert display.ax_.yaxis_inverted()
    named = [name.split(" = ")[0] for name, _ in lines(display)]
    assert named == row.columns[np.argsort(scores)].tolist()


def test_bars_say_one_in_how_many(mixed: FlowOutlierDetector) -> None:
    ax = ReasonsDisplay.from_estimator(mixed, subscriptions()[-1:]).ax_
    texts = [text.get_text() for text in ax.get_xticklabels()]
    assert texts[:3] == ["all", "1 in 10", "1 in 100"]
    np.testing.assert_allclose(np.exp(-ax.get_xticks()[:3]), [1, 0.1, 0.01])


def test_values_and_what_is_usual(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    display = ReasonsDisplay.from_estimator(mixed, X, row=159, random_state=3)
    said = dict(zip(X.columns, zip(display.values, display.usual, strict=True), strict=True))
    drawn = mixed.density_.sample(1000, random_state=3)
    low, high = np.quantile(drawn["seats"], [0.05, 0.95], method="inverted_cdf").astype(int)
    assert said["seats"] == ("60", f"usually {low} to {high}")
    share = (drawn["plan"] == "basic").mean()
    assert said["plan"] == (X["plan"].iloc[159], f"mostly basic ({100 * share:.0f} %)")
    starts = [str(date.date()) for date in drawn["start"].sort_values().iloc[[49, 949]]]
    assert said["start"] == (str(X["start"].iloc[159].date()), f"usually {' to '.join(starts)}")
    days = np.sort(drawn["stay"].dropna().dt.days)
    low, high = (days[int(np.ceil(q * len(days))) - 1] for q in (0.05, 0.95))
    assert said["stay"][1] == f"usually {low} d to {high} d"


def test_the_picture_says_what_is_of_the_column_and_what_is_given_the_row(
    mixed: FlowOutlierDetector,
) -> None:
    display = ReasonsDisplay.from_estimator(mixed, subscriptions()[-1:], random_state=3)
    assert "given the rest of the row" in display.ax_.get_xlabel()
    for _, usual in lines(display):
        assert usual.startswith(("in all rows: usually ", "in all rows: mostly "))


def test_the_title_names_the_row_and_its_score(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    score, p_value = mixed.score_samples(X)[159], mixed.p_values(X)[159]
    said = f"score {score:.4g} (threshold {mixed.offset_:.4g}), p-value {p_value:.2g}"
    named = X.set_index(pd.Index([f"customer {i}" for i in range(160)]))
    for table, row, expected in (
        (named, 159, f"row customer 159: {said}"),
        (X[-1:], None, f"row 159: {said}"),
    ):
        display = ReasonsDisplay.from_estimator(mixed, table, row=row)
        assert display.ax_.get_title() == expected
    unnamed = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(numbers())
    title = ReasonsDisplay.from_estimator(unnamed, numbers(), row=159).title
    assert title.startswith("row 159: score ")
    assert ReasonsDisplay.from_estimator(unnamed, numbers()[-1:]).title.startswith("score ")


def test_a_missing_value_is_said(mixed: FlowOutlierDetector) -> None:
    X = subscriptions()
    row = int(np.flatnonzero(X["stay"].isna())[0])
    assert "stay = missing" in str(lines(ReasonsDisplay.from_estimator(mixed, X, row=row)))


@pytest.mark.slow
def test_what_is_mostly_missing_is_said(mixed: FlowOutlierDetector) -> None:
    X = subscriptions().assign(stay=lambda table: table["stay"].where(table.index < 20))
    holed = clone(mixed).fit(X)
    usual = ReasonsDisplay.from_estimator(holed, X, row=0).usual
    assert usual[3].startswith("mostly missing (")


def test_fewer_columns_may_be_shown(mixed: FlowOutlierDetector) -> None:
    display = ReasonsDisplay.from_estimator(mixed, subscriptions(), row=5, max_features=2)
    assert widths(display) == sorted(display.strangeness, reverse=True)[:2]
    assert len(widths(display.plot(max_features=3))) == 3
    with pytest.raises(ValueError, match="max_features must be at least 1; got 0"):
        display.plot(max_features=0)


@pytest.mark.parametrize("row", [-1, 160])
def test_a_row_that_is_not_there(mixed: FlowOutlierDetector, row: int) -> None:
    with pytest.raises(ValueError, match=f"row must be a position from 0 to 159; got {row}"):
        ReasonsDisplay.from_estimator(mixed, subscriptions(), row=row)


def test_more_rows_than_one(mixed: FlowOutlierDetector) -> None:
    with pytest.raises(ValueError, match=r"X has 160 rows\. Pass one row, or say which with row="):
        ReasonsDisplay.from_estimator(mixed, subscriptions())


def test_other_columns_than_fitted(mixed: FlowOutlierDetector) -> None:
    row: pd.DataFrame = subscriptions()[:1].drop(columns="plan")
    with pytest.raises(ValueError, match="plan"):
        ReasonsDisplay.from_estimator(mixed, row)
