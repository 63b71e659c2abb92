"""Usage files become accepted or rejected records in the lake. Pricing and aggregation do not belong here."""
