"""Grand-canonical Monte Carlo; knows nothing of campaigns."""
