"""HTTP that comes in. What it brings is handled below; no rule of business belongs here."""
