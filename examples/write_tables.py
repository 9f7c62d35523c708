"""Two tables to try the command line on: ``train.csv``, and ``new.csv`` with one planted error.

They hold measurements of diabetes patients, from a table that ships with scikit-learn. In one row
of ``new.csv`` two cells are swapped, each of them usual by itself: LDL (s2) and total cholesterol
(s1).
"""

from sklearn.datasets import load_diabetes

X = load_diabetes(as_frame=True, scaled=False).data[["age", "bmi", "bp", "s1", "s2", "s3"]]
new = X.sample(20, random_state=0)
X.drop(new.index).to_csv("train.csv", index=False)
row = new.index[0]
new.loc[row, ["s1", "s2"]] = new.loc[row, ["s2", "s1"]].to_numpy()
new.to_csv("new.csv", index=False)
print("Written: train.csv, new.csv")
