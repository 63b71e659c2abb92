"""Random numbers that depend on nothing but their arguments: counter-based, one expression per draw.

The generators of polars and Python are not used on columns because neither promises the same numbers in its
next release. What is drawn and why does not belong here.
"""

import hashlib
import math

import polars as pl

_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def key(*parts: object) -> int:
    """A 64-bit number that stands for the parts."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _whole(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.UInt64)


def bits(counter: pl.Expr, *salt: object) -> pl.Expr:
    """64 well mixed bits per row of ``counter`` (unsigned); another salt is another stream (SplitMix64)."""
    mixed = counter.cast(pl.UInt64) * _whole(0x9E3779B97F4A7C15) + _whole(key(*salt))
    for shift, factor in _STEPS:
        mixed = (mixed ^ (mixed // _whole(1 << shift))) * _whole(factor)
    return mixed ^ (mixed // _whole(1 << 31))


def uniform(counter: pl.Expr, *salt: object) -> pl.Expr:
    """Evenly spread over [0, 1)."""
    return (bits(counter, *salt) // _whole(1 << 11)).cast(pl.Float64) * 2.0**-53


def heavy_tail(counter: pl.Expr, sigma: float, *salt: object) -> pl.Expr:
    """Lognormal with mean 1: most values are small, a few very large."""
    radius = (-2 * (1 - uniform(counter, *salt, "radius")).log()).sqrt()
    normal = radius * (2 * math.pi * uniform(counter, *salt, "angle")).cos()
    return (sigma * normal - sigma * sigma / 2).exp()
