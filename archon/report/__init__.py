"""The report of a finished search, drawn from its results folder alone.

Import `write_report` and `render_report` from `archon.report.html`, `final_table` from
`archon.report.tables`, and `save_scatter` from `archon.report.plots` (needs matplotlib).
"""
