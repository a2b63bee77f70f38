"""Whether this machine has what Gozen needs: packages, data and resources, and how to get what is missing."""
