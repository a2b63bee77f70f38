"""Care of tables: compaction, releases, removal of old generations, verification."""
