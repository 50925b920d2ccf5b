"""Trust bands, geometric sanity, and the choice of frames to label."""
