"""Maintenance of tables: compaction, releases, deletion of old generations, verification."""
