"""The archive: the key of every object, and the code that reads and writes the objects.

``stores`` opens storage, reads and writes objects; ``raw`` manages raw files and their records; ``commit`` records the
result of a sensor, after its products are stored; ``log`` makes the commits of a night searchable; ``bucket_rules``
sets the life cycle and the policy of an S3 bucket.
"""
