"""Al-soc-MOF builder, node cluster, H2 loading, open-site detection."""
