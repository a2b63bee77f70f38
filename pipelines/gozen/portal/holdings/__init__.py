"""What the archive contains, as the first page shows it: tables, releases, nights; and the notebooks."""
