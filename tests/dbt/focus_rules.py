"""FOCUS 1.4, dataset Cost and Usage, as rules over rows: an own reading of the specification, not of the mart.

Columns by feature level, nulls, allowed values and what must hold between columns, as far as they apply to a seller
without tax, commitments, regions, provisioned resources or a second currency.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]

MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost",
    "EffectiveCost", "HostProviderName", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit",
    "ServiceCategory", "ServiceName", "ServiceProviderName",
}  # fmt: skip
# Conditional and recommended ones whose condition holds here: invoices, usage, unit prices, agreed prices, accounts.
APPLICABLE = {
    "BillingAccountType", "ChargeFrequency", "ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "InvoiceDetailId",
    "InvoiceId", "ListUnitPrice", "PricingCategory", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails",
    "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType",
}  # fmt: skip
NEVER_NULL = {
    "BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost",
    "HostProviderName", "InvoiceIssuerName", "ListCost", "ServiceCategory", "ServiceName", "ServiceProviderName",
    "ServiceSubcategory", "InvoiceId", "InvoiceDetailId",
}  # fmt: skip
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"Correction", None},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other", None},
    "ServiceCategory": {
        "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools",
        "Multicloud", "Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration",
        "Mobile", "Networking", "Security", "Storage", "Web", "Other",
    },
}  # fmt: skip
DECIMALS = {
    "BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "ListCost",
    "ListUnitPrice", "PricingQuantity",
}  # fmt: skip
INSTANTS = {"BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"}
REMOVED = {"ProviderName", "PublisherName"}


def column_violations(columns: Sequence[str]) -> list[str]:
    """What is wrong with the columns of a dataset."""
    found = [f"{name} is missing" for name in sorted((MANDATORY | APPLICABLE) - set(columns))]
    known = MANDATORY | APPLICABLE
    found += [f"{name} was removed in 1.4" for name in sorted(REMOVED & set(columns))]
    found += [
        f"{name} is no FOCUS column and lacks x_"
        for name in columns
        if name not in known | REMOVED and not name.startswith("x_")
    ]
    found += [
        f"{name} is not in Pascal case"
        for name in columns
        if not re.fullmatch(r"(x_)?([A-Z][a-z0-9]+)+", name)
    ]
    found += [f"{name} is too long" for name in columns if len(name) > 50]
    return found


def row_violations(row: Row) -> list[str]:
    """What is wrong with one charge."""
    found = [f"{name} is null" for name in sorted(NEVER_NULL) if row[name] is None]
    found += [f"{name} is an empty text" for name, value in row.items() if value == ""]
    found += [f"{name} is {row[name]}" for name, values in ALLOWED.items() if row[name] not in values]
    found += [
        f"{name} is no decimal"
        for name in sorted(DECIMALS)
        if row[name] is not None and not isinstance(row[name], Decimal)
    ]
    found += [
        f"{name} is not in UTC"
        for name in sorted(INSTANTS)
        if not (isinstance(row[name], datetime) and row[name].utcoffset() is not None)
    ]
    if not re.fullmatch(r"[A-Z]{3}", row["BillingCurrency"] or ""):
        found.append("BillingCurrency is no ISO 4217 code")
    return found + _price_violations(row) + _correction_violations(row)


def _price_violations(row: Row) -> list[str]:
    found = []
    priced = row["ChargeCategory"] in {"Usage", "Purchase"} and row["ChargeClass"] != "Correction"
    for name in (
        "SkuId",
        "SkuPriceId",
        "ListUnitPrice",
        "ContractedUnitPrice",
        "PricingQuantity",
        "PricingCategory",
    ):
        if priced and row[name] is None:
            found.append(f"{name} is null on a priced charge")
    for name in ("ListUnitPrice", "ContractedUnitPrice", "PricingQuantity", "PricingCategory", "ConsumedQuantity",
                 "SkuPriceDetails"):  # fmt: skip
        if row["SkuPriceId"] is None and row[name] is not None:
            found.append(f"{name} without SkuPriceId")
    for unit, quantity in (("PricingUnit", "PricingQuantity"), ("ConsumedUnit", "ConsumedQuantity")):
        if (row[unit] is None) != (row[quantity] is None):
            found.append(f"{unit} and {quantity} are not null together")
    if row["SkuMeter"] is not None and row["SkuId"] is None:
        found.append("SkuMeter without SkuId")
    if row["ChargeCategory"] == "Usage" and priced and row["ConsumedQuantity"] is None:
        found.append("ConsumedQuantity is null on usage")
    if row["ChargeCategory"] != "Usage" and row["ConsumedQuantity"] is not None:
        found.append("ConsumedQuantity on what is no usage")
    if row["ChargeCategory"] == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        found.append("a purchase is not usage-based")
    for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
        if row[price] is not None and row["PricingQuantity"] is not None:
            if row[price] < 0:
                found.append(f"{price} is negative")
            if row[cost] != row[price] * row["PricingQuantity"]:
                found.append(f"{cost} is not {price} times PricingQuantity")
    # Nothing here covers or is covered by another charge.
    if row["EffectiveCost"] != row["BilledCost"]:
        found.append("EffectiveCost is not BilledCost")
    if row["SkuPriceDetails"] is not None and not re.fullmatch(
        r'\{"x_PricingModel": "\w+"\}', row["SkuPriceDetails"]
    ):
        found.append("SkuPriceDetails has a key that is neither of FOCUS nor prefixed x_")
    return found


def _correction_violations(row: Row) -> list[str]:
    found: list[str] = []
    if any(row[name] is None or row[name].utcoffset() is None for name in INSTANTS):
        return found
    for name in ("BillingPeriod", "ChargePeriod"):
        if not row[f"{name}Start"] < row[f"{name}End"]:
            found.append(f"{name} does not end after its start")
    is_of_earlier_period = row["ChargePeriodEnd"] <= row["BillingPeriodStart"]
    if is_of_earlier_period != (row["ChargeClass"] == "Correction"):
        found.append(
            "ChargeClass must be Correction where, and only where, an earlier billing period is put right"
        )
    return found


def dataset_violations(rows: Iterable[Row], totals: Mapping[str, Decimal]) -> list[str]:
    """What is wrong between charges; ``totals``: payable amount by invoice id."""
    rows = list(rows)
    found = []
    billed: dict[str, Decimal] = defaultdict(Decimal)
    details: dict[tuple[str, str], int] = defaultdict(int)
    parents: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        billed[row["InvoiceId"]] += row["BilledCost"]
        details[row["InvoiceId"], row["InvoiceDetailId"]] += 1
        if row["SkuPriceId"] is not None:
            parents[row["SkuPriceId"]].add(row["SkuId"])
    found += [
        f"{invoice}: {billed.get(invoice)} is not its total {totals.get(invoice)}"
        for invoice in sorted(billed.keys() | totals.keys())
        if billed.get(invoice) != totals.get(invoice)
    ]
    found += [f"{key} occurs {count} times" for key, count in details.items() if count > 1]
    found += [f"{price} belongs to {sorted(skus)}" for price, skus in parents.items() if len(skus) > 1]
    return found
