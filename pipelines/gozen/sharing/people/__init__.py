"""Share files in Nextcloud with users and groups, and by public links."""
