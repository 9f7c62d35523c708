"""What users meet: scikit-learn's manners, no maths."""
