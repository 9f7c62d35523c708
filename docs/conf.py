"""Sphinx configuration."""

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

# Examples run on one thread: their numbers then do not depend on the machine's cores,
# and threads that wait for a busy core cost more than they give on tables this small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "skflow"
author = "The skflow developers"
copyright = "2026, The skflow developers"  # noqa: A001
release = installed_version("skflow")
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "fold",
    "mathml",
    "offline",
    "tables",
]
exclude_patterns = ["_build", "benchmarks/measured", "benchmarks/figures"]  # parts of pages

extlinks = {
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"),
    "doi": ("https://doi.org/%s", "doi:%s"),
}

autodoc_typehints = "none"  # numpydoc's Parameters sections say more
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(first_look|write_tables)\.py",
    "within_subsection_order": "ExampleTitleSortKey",
    "parallel": True,  # as many as sphinx-build -j
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,  # its page loads scripts from elsewhere
    "capture_repr": (),
    "remove_config_comments": True,
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "skflow"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": {"[!b]**": ["page-toc"], "benchmarks/*": []},  # room for tables
}
html_show_sourcelink = False
# The contents of a page are on its right. A second list on its left leaves no room for code.
html_sidebars = {"**": []}
html_static_path = ["_static"]
html_css_files = ["skflow.css"]
toc_object_entries_show_parents = "hide"
