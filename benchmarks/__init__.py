"""Measurements behind every published number: a script per claim, run by ``python -m``.

``common`` holds what the scripts share (tables, kept results, pages), ``peers`` the methods of
other libraries, ``planted`` rows with planted outliers, ``pages`` the writers of long pages.
"""
