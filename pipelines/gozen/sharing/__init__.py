"""Exchange files with Nextcloud, and share them there.

Notebooks call ``connect`` (`cloud`). ``account`` and ``connection`` reach the server, ``answers`` and ``retrying``
decide what an answer means, ``remote_names`` which names are accepted.
"""
