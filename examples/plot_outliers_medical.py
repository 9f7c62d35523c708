"""
What sets a malignant tumour apart?
===================================

Nobody shows the detector a malignant tumour. It learns what benign ones measure, finds which
others are unlike them, and says which measurements would have to change, and to what.
"""

# %%
# Learn the benign
# ----------------
#
# scikit-learn's breast cancer table holds measurements of cell nuclei. We take those of the
# largest nuclei of each image, without perimeter and area, which say little more than the
# radius does. Seven tenths of the benign tumours are learnt; the others, and all malignant ones,
# are not seen by the fit.

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
learnt, fresh = train_test_split(benign, test_size=0.3, random_state=0)

# The closed form alone, without trained layers: it is quick.
detector = FlowOutlierDetector(FlowDensity(n_layers=0), random_state=0).fit(learnt)

# %%
# Find the malignant
# ------------------
#
# A p-value says what share of benign tumours looks as strange. Rows are few, so all of them
# calibrate: each fifth is judged by a fit to the others.

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
# ``predict`` flags a row where its p-value is at most 0.01, which is where 1 % of benign tumours
# would be flagged: the first line of the table, a third of the malignant ones. Where to draw the
# line is a question of what a missed tumour costs, and what a false alarm.

OutlierScoreDisplay.from_estimator(
    detector, malignant, reference=fresh, names=("malignant", "fresh benign")
)

# %%
# Explain one
# -----------
#
# The strangest tumour, measurement by measurement, each given the seven others.

strangest = malignant.loc[[malignant.index[detector.score_samples(malignant).argmin()]]]
ReasonsDisplay.from_estimator(detector, strangest, random_state=0)

# %%
# What would have been benign
# ---------------------------
#
# ``repair`` changes one measurement after the other, that first which helps most, until the
# tumour is unremarkable among benign ones. We repair the malignant tumours with a p-value of
# 0.05 or less.

found = malignant[detector.p_values(malignant) <= 0.05]
repaired = detector.repair(found)
changed = repaired != found
print(f"{len(found)} tumours; number of measurements changed, and how often:")
print(changed.sum(axis=1).value_counts().sort_index().to_string())

# %%
# Some that take few changes, beside their repairs:

few = changed.sum(axis=1).between(1, 2)
print(found[few].head(4).compare(repaired[few].head(4), result_names=("is", "benign")).to_string())

# %%
# Tumours of which all eight are changed are so far from benign that changing single cells does
# not help; the nearest of drawn benign rows stands in for them, which says little about single
# measurements. Of all others, how often each measurement had to change, and by how much, in
# standard deviations of the benign. What sets malignant nuclei apart is that they are larger,
# have more concave points and are rougher in texture.

partly = changed.sum(axis=1) < X.shape[1]
steps = ((found - repaired) / learnt.std())[partly]
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
