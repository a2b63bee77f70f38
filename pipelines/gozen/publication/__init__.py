"""Make the files that colleagues get of selected light curves; `gozen.sharing.publishing` sends them to Nextcloud.

`make_files` makes all of them; `table_part` reads the table, `star_statistics` chooses the stars to draw, and
`summary_page` writes the page.
"""
