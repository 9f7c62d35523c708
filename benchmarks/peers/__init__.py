"""Methods that skflow is compared with, and the seconds of their steps."""
