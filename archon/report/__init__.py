"""Reports, drawn from files alone: of a finished search's folder, and of a device profile.

Import `write_report` and `render_report` from `archon.report.html`, `final_table` from
`archon.report.tables`, `save_scatter` from `archon.report.plots`, `write_profile_page` from
`archon.report.profile_page`, and `profile_tables` and `write_profile_csv` from
`archon.report.profile_table`. Drawings need matplotlib.
"""
