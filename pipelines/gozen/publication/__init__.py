"""The files that colleagues get of a selection of light curves: table part, plots, summary. Where they go is not here.

`make_files` makes all of them; `table_part` reads the table, `star_statistics` chooses the stars to draw, and
`summary_page` writes the page.
"""
