"""How the ledger's tables came to be: one revision per file, none ever changed once released."""
