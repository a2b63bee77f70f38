"""The service that keeps the app password of each user for Nextcloud; labs ask for it with their own token."""
