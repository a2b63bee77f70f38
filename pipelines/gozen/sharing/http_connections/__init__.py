"""HTTP connections to Nextcloud: how a client is made, how requests are sent, how bodies of answers are read."""
