"""From raw files to rows in a table: the steps that commands and notebooks share. Nothing here prints."""
