"""Keep a folder in Nextcloud as a resource describes it: its files, its shares, its link.

``published_record`` is what an earlier run has noted, in a hidden folder of the account. ``decide_files`` and
``decide_shares`` compare it with the folder and with the wish, ``publish_folder`` carries out what they decide, with
``folder_files``, which reads and writes.
"""
