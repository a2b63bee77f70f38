"""Transfers of files and folders to and from Nextcloud.

``put_tree`` and ``get_tree`` walk folders. ``compare`` decides which files are transferred, ``upload`` and ``download``
transfer one, ``transfer_notes`` remembers what was transferred.
"""
