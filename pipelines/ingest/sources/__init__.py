"""Where usage files come from. What is in them does not belong here."""
