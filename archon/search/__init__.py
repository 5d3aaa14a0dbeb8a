"""The search: space → trial → objective → racing → confirmation → export.

`python -m archon.search conf=NAME` is `archon.search.study.run_study` on a configuration.
"""
