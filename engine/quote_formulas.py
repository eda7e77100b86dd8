"""Distances of the two quotes from the mid price: three published closed forms.

Units: prices and distances in ticks, time in seconds, inventory q in quotes (lots held over lots
of one quote), volatility σ in ticks per √s, risk aversion γ in 1/tick, and arrivals at a quote at
distance δ as a Poisson process of rate A exp(−k δ), A in 1/s of one side, k in 1/tick. Each returns
the distance of one side; it may be negative, which is a quote beyond the mid.

AS: Avellaneda, Stoikov: High-frequency trading in a limit order book (2008), Quantitative Finance
8(3). GLFT: Guéant, Lehalle, Fernandez-Tapia: Dealing with the inventory risk (2013), Mathematics
and Financial Economics 7(4), arXiv 1105.3115.
"""

from __future__ import annotations

import math

from engine.quote_numbers import exp_of, log_of, log_of_one_plus
from engine.quoting_state import QuoteModel
from shm.compiled import kernel

AS_FINITE = int(QuoteModel.AS_FINITE)
AS_STATIONARY = int(QuoteModel.AS_STATIONARY)
ASK = 1
# A distance that is no price, and that still adds to one without losing a thousandth of a tick.
FAR = 2.0**36


@kernel
def liquidity_distance(risk_aversion: float, decay: float) -> float:
    """Return (1/γ) ln(1 + γ/k), ticks: what a quote earns when inventory costs nothing."""
    return log_of_one_plus(risk_aversion / decay) / risk_aversion


@kernel
def as_finite_distance(
    side: int,
    inventory: float,
    risk_aversion: float,
    volatility: float,
    decay: float,
    left_s: float,
) -> float:
    """Return a side's distance with a horizon.

    Reservation price r = s − q γ σ² (T − t) and spread γ σ² (T − t) + (2/γ) ln(1 + γ/k) around it:
    AS equations 29 and 30. So the bid lies (1 + 2q)/2 × γ σ² (T − t) + (1/γ) ln(1 + γ/k) below s,
    the ask (1 − 2q)/2 × … above.

    Args:
        side: 0 bid, 1 ask.
        inventory: q.
        risk_aversion: γ > 0.
        volatility: σ.
        decay: k > 0.
        left_s: T − t ≥ 0, s.
    """
    signed = -inventory if side == ASK else inventory
    risk = risk_aversion * volatility * volatility * left_s
    return liquidity_distance(risk_aversion, decay) + (0.5 + signed) * risk


@kernel
def as_stationary_distance(
    side: int, inventory: float, inventory_max: float, risk_aversion: float, decay: float
) -> float:
    """Return a side's distance without a horizon.

    AS section 2.3: with w(q) = ω − ½ γ²q²σ² an agent with inventory q is indifferent at
    rᵇ = s + (1/γ) ln(w(q + 1) / w(q)) and rᵃ = s − (1/γ) ln(w(q − 1) / w(q)); the paper's choice
    ω = ½ γ²σ² (q_max + 1)² makes w(q) ∝ (q_max + 1)² − q², so σ cancels. At q_max there is no bid,
    at −q_max no ask: FAR. Their optimal distances for exponential arrivals add (1/γ) ln(1 + γ/k)
    (first-order conditions of section 3.1).

    The preprint prints rᵃ as s + (1/γ) ln(1 + (1 − 2q) γ²σ² / (2 w(q))). Its own definition, the
    price at which selling one changes the utility by nothing, gives −ln(1 − …) as above: equal to
    first order, the mirror of its rᵇ, and without an ask at the bound.

    Args:
        side: 0 bid, 1 ask.
        inventory: q, |q| ≤ q_max.
        inventory_max: q_max ≥ 0.
        risk_aversion: γ > 0.
        decay: k > 0.
    """
    signed = -inventory if side == ASK else inventory
    present = (inventory_max + 1.0 - signed) * (inventory_max + 1.0 + signed)
    after = (inventory_max - signed) * (inventory_max + 2.0 + signed)
    reserve = FAR
    if after > 0.0:
        reserve = min(log_of(present / after) / risk_aversion, FAR)
    return reserve + liquidity_distance(risk_aversion, decay)


@kernel
def glft_distance(
    side: int,
    inventory: float,
    risk_aversion: float,
    volatility: float,
    decay: float,
    intensity: float,
) -> float:
    """Return a side's asymptotic distance under inventory bounds.

    δᵇ(q) ≃ (1/γ) ln(1 + γ/k) + (2q + 1)/2 × √(σ²γ / (2kA) × (1 + γ/k)^(1 + k/γ)) and δᵃ with
    1 − 2q: GLFT section 4, the closed-form approximation. The bound Q itself is kept by not
    quoting the side that would exceed it.

    Args:
        side: 0 bid, 1 ask.
        inventory: q.
        risk_aversion: γ > 0.
        volatility: σ.
        decay: k > 0.
        intensity: A > 0.
    """
    signed = -inventory if side == ASK else inventory
    power = exp_of((1.0 + decay / risk_aversion) * log_of_one_plus(risk_aversion / decay))
    square = volatility * volatility * risk_aversion / (2.0 * decay * intensity) * power
    return liquidity_distance(risk_aversion, decay) + (0.5 + signed) * math.sqrt(square)


@kernel
def quote_distance(
    model: int,
    side: int,
    inventory: float,
    inventory_max: float,
    risk_aversion: float,
    volatility: float,
    decay: float,
    intensity: float,
    left_s: float,
) -> float:
    """Return a side's distance from the mid by the formula in use; see the three above."""
    if model == AS_FINITE:
        return as_finite_distance(side, inventory, risk_aversion, volatility, decay, left_s)
    if model == AS_STATIONARY:
        return as_stationary_distance(side, inventory, inventory_max, risk_aversion, decay)
    return glft_distance(side, inventory, risk_aversion, volatility, decay, intensity)
