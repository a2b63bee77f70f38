"""Publish files in a folder of Nextcloud: its files, its shares and its link become as a resource describes them.

``published_record`` reads the notes of earlier runs, which are in a hidden folder of the account. ``decide_files`` and
``decide_shares`` compare the notes, the folder and the resource; ``publish_folder`` carries out their decisions, with
``folder_files``, which reads and writes, and ``share_folder``, which makes and withdraws shares.
"""
