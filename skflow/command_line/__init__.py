"""The estimators from a terminal: tables in files, read and answered batch by batch."""
