"""
How do malignant tumours differ from benign ones?
=================================================

The detector is fitted to benign tumours alone. It finds tumours that differ from them, and
shows which measurements would have to change, and to which values.
"""

# %%
# Fit the benign tumours
# ----------------------
#
# scikit-learn's breast cancer table holds measurements of cell nuclei. We use those of the
# largest nuclei of each image, without perimeter and area, which add little to the radius.
# The detector is fitted to seven tenths of the benign tumours; the others, and all malignant
# ones, are held out.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import OutlierScoreDisplay, PairDisplay, ReasonsDisplay

cancer = load_breast_cancer(as_frame=True)
X = cancer.data.filter(like="worst").drop(columns=["worst perimeter", "worst area"])
X.columns = X.columns.str.removeprefix("worst ")
benign, malignant = X[cancer.target == 1], X[cancer.target == 0]
train, fresh = train_test_split(benign, test_size=0.3, random_state=0)

# The Gaussian mixture copula alone, without trained layers: it is quick.
detector = FlowOutlierDetector(FlowDensity(n_layers=0), random_state=0).fit(train)

# %%
# Find the malignant tumours
# --------------------------
#
# A p-value is the share of benign tumours that are at least as unusual. Rows are few, so all of
# them are calibration rows: each fifth is scored by a fit to the others.

rows = pd.concat([fresh, malignant])
is_malignant = np.repeat([0, 1], [len(fresh), len(malignant)])
auroc = roc_auc_score(is_malignant, -detector.score_samples(rows))
print(f"area under the ROC curve: {auroc:.3f}\n")
table = pd.DataFrame(
    {
        name: [(p <= alpha).mean() for alpha in (0.01, 0.05, 0.1)]
        for name, p in (
            ("fresh benign", detector.p_values(fresh)),
            ("malignant", detector.p_values(malignant)),
        )
    },
    index=pd.Index([0.01, 0.05, 0.1], name="share with p at most"),
)
print(table.round(3).to_string())

# %%
# ``predict`` flags a row if its p-value is at most 0.01, so 1 % of benign tumours are flagged:
# the first line of the table, and a third of the malignant ones. The best threshold depends on
# the cost of a missed tumour and of a false alarm.

OutlierScoreDisplay.from_estimator(
    detector, malignant, reference=fresh, names=("malignant", "fresh benign")
)

# %%
# Reasons for one tumour
# ----------------------
#
# The display shows the most unusual tumour: each measurement, given the seven others.

strangest = malignant.loc[[malignant.index[detector.score_samples(malignant).argmin()]]]
ReasonsDisplay.from_estimator(detector, strangest, random_state=0)

# %%
# What would have been benign
# ---------------------------
#
# ``repair`` changes one measurement after the other, the most helpful first, until the tumour
# is ordinary among benign ones. We repair the malignant tumours that ``predict`` flags.

found = malignant[detector.predict(malignant) == -1]
repaired = detector.repair(found)
changed = repaired != found
print(f"{len(found)} tumours; number of measurements changed, and how often:")
print(changed.sum(axis=1).value_counts().sort_index().to_string())

# %%
# Some tumours that need few changes, beside their repairs:

few = changed.sum(axis=1).between(1, 2)
print(found[few].head(4).compare(repaired[few].head(4), result_names=("is", "benign")).to_string())

# %%
# Tumours with all eight measurements changed are so far from benign ones that changes of single
# cells do not help; the nearest of sampled benign rows replaces them, which shows little about
# single measurements. For all others, the figure shows how often each measurement had to change,
# and by how much, in standard deviations of benign tumours. Malignant nuclei are larger, have
# more concave points and a rougher texture.

partly = changed.sum(axis=1) < X.shape[1]
steps = ((found - repaired) / train.std())[partly]
often = changed[partly].mean().sort_values()
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
axes[0].barh(often.index, 100 * often, color="#0072B2")
axes[0].set(xlabel="changed, % of tumours", xticks=[0, 25, 50, 75])
typical = steps.where(changed[partly]).median()[often.index]
axes[1].barh(typical.index, typical, color=np.where(typical > 0, "#D55E00", "#56B4E9"))
axes[1].axvline(0, color="0.4", lw=0.8)
axes[1].set(
    xlabel="malignant less repaired, median of those\nchanged, standard deviations of benign"
)

# %%
# Two measurements
# ----------------

PairDisplay.from_estimator(
    detector, malignant, features=("radius", "concave points"), random_state=0
)
