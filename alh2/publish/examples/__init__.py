"""Scripts that are copied into every bundle; they use ASE and DeePMD-kit alone, nothing of alh2."""
