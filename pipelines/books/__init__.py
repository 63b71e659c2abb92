"""Books that close: issuing, correcting and proving what was issued. Sending it does not belong here."""
