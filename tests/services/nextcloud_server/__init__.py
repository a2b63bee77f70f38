"""A Nextcloud server for the tests, written from Nextcloud's documents."""
