"""Catalog and accounts documents are read, validated and kept in the lake. What they may contain is in models/."""
