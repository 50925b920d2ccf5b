"""DP-GEN param and machine files, extended, as typed dataclasses."""
