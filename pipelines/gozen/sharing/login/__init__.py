"""Log in at a Nextcloud with the browser, and keep the app password that it gives."""
