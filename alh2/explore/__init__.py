"""MD and GCMC exploration tasks."""
