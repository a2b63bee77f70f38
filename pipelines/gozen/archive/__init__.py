"""The archive: which object has which key, and which code writes it.

``stores`` opens storage and moves bytes; ``raw`` keeps raw files and their records; ``commit`` is written last for each
sensor; ``log`` makes a night's commits searchable; ``bucket_rules`` sets what an S3 bucket does by itself.
"""
