"""The three formulas against the papers' own figures, their equations solved otherwise, and limits.

Figures: Avellaneda, Stoikov 2008, tables 1 to 3; of their preprint of 2006 the spreads, which leave
out the part that depends on time (its simulated profits are not reproduced). Guéant, Lehalle,
Fernandez-Tapia 2013 print curves, no tables: their closed form is compared with their exact
solution, computed from the matrix.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from engine.quote_formulas import (
    as_finite_distance,
    as_stationary_distance,
    glft_distance,
    liquidity_distance,
)
from engine.quote_numbers import ceiling_of, exp_of, floor_of, log_of, log_of_one_plus

# Avellaneda, Stoikov 2008, section 3.3.
START, SIGMA, T, STEP, K, A = 100.0, 2.0, 1.0, 0.005, 1.5, 140.0
TABLES = [
    # γ, strategy, average spread, profit, its deviation, deviation of the final inventory
    (0.1, "inventory", 1.49, 65.0, 6.6, 2.9),
    (0.1, "symmetric", 1.49, 68.4, 12.7, 8.4),
    (0.01, "inventory", 1.35, 68.6, 8.7, 5.1),
    (0.01, "symmetric", 1.35, 68.8, 12.8, 8.7),
    (1.0, "inventory", 3.02, 31.4, 5.0, 1.7),
    (1.0, "symmetric", 3.02, 44.0, 11.0, 5.1),
]
PATHS = 4_000


@effort(max_examples=300, deadline=None)
@given(
    st.floats(-690.0, 690.0),
    # Below the smallest normal number 1 + x is 1, and the logarithm 0: nobody quotes by that.
    st.floats(-0.99, 1e6, allow_subnormal=False),
    st.floats(-280.0, 280.0),
)
def test_exponential_and_logarithms(exponent: float, small: float, power: float) -> None:
    assert exp_of(exponent) == pytest.approx(math.exp(exponent), rel=1e-14)
    assert log_of_one_plus(small) == pytest.approx(math.log1p(small), rel=1e-13, abs=0)
    value = 10.0**power
    assert log_of(value) == pytest.approx(math.log(value), rel=1e-13, abs=1e-15)


def test_numbers_at_their_ends() -> None:
    assert (exp_of(0.0), exp_of(-1e9), exp_of(1e9)) == (1.0, 0.0, 1e300)
    assert (exp_of(math.nan), exp_of(math.inf), exp_of(-math.inf)) == (1e300, 1e300, 0.0)
    assert (log_of(1.0), log_of(0.0), log_of(-1.0), log_of(math.nan)) == (0.0, *[-1e300] * 3)
    assert log_of_one_plus(1e-18) == 1e-18
    for value in (-2.0, -1.5, -0.0, 0.5, 1.0, 1e15 + 0.5, -1e15 - 0.5):
        assert floor_of(value) == math.floor(value)
        assert ceiling_of(value) == math.ceil(value)


def average_spread(gamma: float) -> float:
    steps = round(T / STEP)
    return (
        math.fsum(
            as_finite_distance(side, 0.0, gamma, SIGMA, K, T - step * STEP)
            for step in range(steps)
            for side in (0, 1)
        )
        / steps
    )


@pytest.mark.parametrize(("gamma", "wanted"), [(0.1, 1.49), (0.01, 1.35), (1.0, 3.02)])
def test_average_spreads_of_the_tables(gamma: float, wanted: float) -> None:
    # The paper's 3.02 is the time's integral, 3.0217; the mean over its 200 steps is 3.0317.
    integral = gamma * SIGMA**2 * T / 2 + 2 * liquidity_distance(gamma, K)
    assert round(integral, 2) == wanted
    assert average_spread(gamma) == pytest.approx(integral, abs=gamma * SIGMA**2 * STEP)


def test_spreads_of_the_preprint() -> None:
    for gamma, wanted in ((0.1, 1.29), (0.01, 1.33), (0.5, 1.15)):
        assert round(2 * liquidity_distance(gamma, K), 2) == wanted


def test_reservation_price_of_section_2() -> None:
    for q in range(-5, 6):
        distances = [as_finite_distance(side, float(q), 0.1, SIGMA, K, T) for side in (0, 1)]
        centre = START + (distances[1] - distances[0]) / 2
        assert centre == pytest.approx(START - q * 0.1 * SIGMA**2 * T)
        assert sum(distances) == pytest.approx(0.1 * SIGMA**2 * T + 20 * math.log(1 + 0.1 / K))


def distances_of(q: np.ndarray, gamma: float, left: float) -> list[np.ndarray]:
    levels, places = np.unique(q, return_inverse=True)
    made = [
        [as_finite_distance(side, level, gamma, SIGMA, K, left) for level in levels.tolist()]
        for side in (0, 1)
    ]
    return [np.array(row)[places] for row in made]


def simulate(gamma: float, strategy: str, seed: int) -> tuple[float, float, float]:
    """Return mean and deviation of the profit, and the deviation of the final inventory.

    The procedure of section 3.3: with probability λ dt, taken as written, a quote is filled.
    """
    rng = np.random.default_rng(seed)
    price, cash, q = np.full(PATHS, START), np.zeros(PATHS), np.zeros(PATHS)
    even = liquidity_distance(gamma, K) + gamma * SIGMA**2 * T / 4
    for step in range(round(T / STEP)):
        if strategy == "inventory":
            below, above = distances_of(q, gamma, T - step * STEP)
        else:
            below = above = np.full(PATHS, even)
        bought = rng.random(PATHS) < A * np.exp(-K * below) * STEP
        sold = rng.random(PATHS) < A * np.exp(-K * above) * STEP
        cash += sold * (price + above) - bought * (price - below)
        q += bought.astype(float) - sold
        price += SIGMA * math.sqrt(STEP) * rng.choice((-1.0, 1.0), PATHS)
    profit = cash + q * price
    return float(profit.mean()), float(profit.std()), float(q.std())


@pytest.mark.parametrize("row", TABLES)
def test_simulations_of_the_paper(row: Any) -> None:
    gamma, strategy, _, mean, deviation, inventory = row
    got = simulate(gamma, strategy, seed=2008)
    print("seed 2008", row, [round(value, 2) for value in got])
    # The paper's rows come from 1000 paths: the error of its mean is deviation / √1000.
    assert got[0] == pytest.approx(mean, abs=3.5 * deviation / math.sqrt(1000) + 0.5)
    assert got[1] == pytest.approx(deviation, rel=0.15)
    assert got[2] == pytest.approx(inventory, rel=0.15)


@effort(max_examples=200, deadline=None)
@given(
    st.integers(0, 20),
    st.floats(-1.0, 1.0),
    st.floats(0.001, 2.0),
    st.floats(0.1, 30.0),
    st.floats(0.01, 5.0),
)
def test_stationary_prices_leave_the_utility_of_section_2_3_as_it_is(
    limit: int, share: float, gamma: float, sigma: float, k: float
) -> None:
    q = share * limit
    omega = 0.5 * gamma**2 * sigma**2 * (limit + 1) ** 2
    for side, sign in ((0, 1), (1, -1)):
        present, after = (omega - 0.5 * gamma**2 * sigma**2 * held**2 for held in (q, q + sign))
        got = as_stationary_distance(side, q, float(limit), gamma, k)
        if after < 1e-9 * present:
            assert got > 10 / gamma
            continue
        # Utility −exp(−γ (x + q s)) / w(q): what is paid for one more, or asked for one less.
        paid = got - math.log1p(gamma / k) / gamma
        assert math.exp(-gamma * paid) * present / after == pytest.approx(1.0, rel=1e-6)


def test_stationary_prices_are_the_printed_ones_to_first_order() -> None:
    limit, gamma = 200, 0.1
    for q in (-3.0, 0.0, 2.0):
        for side, sign in ((0, -1), (1, 1)):
            printed = math.log1p((sign - 2 * q) / ((limit + 1) ** 2 - q * q)) / gamma
            got = as_stationary_distance(side, q, float(limit), gamma, K)
            reserve = sign * (got - liquidity_distance(gamma, K))
            assert reserve == pytest.approx(printed, rel=3e-4)
            if side == 0:
                assert reserve == pytest.approx(printed, rel=1e-9)
    assert as_stationary_distance(0, 5.0, 5.0, gamma, K) > 1e9 / gamma
    assert as_stationary_distance(1, -5.0, 5.0, gamma, K) > 1e9 / gamma


def exponential_of(matrix: np.ndarray) -> np.ndarray:
    """Return exp(matrix) up to a factor, for a matrix without negative entries off its diagonal.

    Its diagonal is lifted first, which is that factor; then nothing negative is ever added, so even
    the smallest entries keep their digits. Scaling, series, squaring.
    """
    lifted = matrix - np.diag(matrix).min() * np.eye(len(matrix))
    halvings = max(math.ceil(math.log2(np.abs(lifted).sum(axis=1).max() * 8)), 0)
    scaled = lifted / 2**halvings
    term = total = np.eye(len(matrix))
    for order in range(1, 20):
        term = term @ scaled / order
        total = total + term
    for _ in range(halvings):
        total = total @ total
        total = total / total.max()
    return total


def exact_distances(sigma: float, a: float, left: float, bound: int) -> dict[int, tuple[Any, Any]]:
    """Return GLFT's optimal distances by inventory: theorem 1, v = exp(−M (T − t)) 1."""
    k, gamma = 0.3, 0.01
    alpha = 0.5 * k * gamma * sigma**2
    eta = a * (1 + gamma / k) ** -(1 + k / gamma)
    q = np.arange(-bound, bound + 1)
    matrix = np.diag(alpha * q.astype(float) ** 2)
    matrix -= eta * (np.eye(len(q), k=1) + np.eye(len(q), k=-1))
    v = exponential_of(-matrix * left).sum(axis=1)
    liquidity = math.log(1 + gamma / k) / gamma
    found: dict[int, tuple[Any, Any]] = {}
    for place, held in enumerate(q.tolist()):
        below = above = None
        if held < bound:
            below = math.log(v[place] / v[place + 1]) / k + liquidity
        if held > -bound:
            above = math.log(v[place] / v[place - 1]) / k + liquidity
        found[held] = below, above
    return found


# The parameters under figures 1 to 5; k = 0.3 and γ = 0.01 per tick in all of them.
@pytest.mark.parametrize(
    ("sigma", "a", "held", "allowed"),
    [(0.3, 0.9, 8, 0.02), (0.4, 0.9, 8, 0.03), (1.0, 0.2, 4, 0.1), (1.0, 0.2, 0, 0.02)],
)
def test_closed_form_is_near_the_exact_solution(
    sigma: float, a: float, held: int, allowed: float
) -> None:
    exact = exact_distances(sigma, a, 600.0, 30)
    for q in range(-held, held + 1):
        for side in (0, 1):
            got = glft_distance(side, float(q), 0.01, sigma, 0.3, a)
            worst = abs(got - exact[q][side])
            assert worst < allowed, (q, side, got, exact[q][side])


def test_approximation_worsens_away_from_zero_as_the_paper_says() -> None:
    exact = exact_distances(1.0, 0.2, 600.0, 30)
    errors = [
        abs(glft_distance(0, float(q), 0.01, 1.0, 0.3, 0.2) - exact[q][0]) for q in (0, 9, 18)
    ]
    print("errors at q = 0, 9, 18, ticks:", errors)
    assert errors == sorted(errors)


def test_avellaneda_stoikov_is_the_exact_solution_near_the_end() -> None:
    # GLFT, footnote of section 4: their expansion is the Taylor expansion at T.
    for left in (0.1, 0.01):
        exact = exact_distances(0.3, 0.9, left, 30)
        for q in range(-8, 9):
            for side in (0, 1):
                got = as_finite_distance(side, float(q), 0.01, 0.3, 0.3, left)
                assert got == pytest.approx(exact[q][side], abs=0.02 * left**2)


def test_little_risk_aversion_leaves_one_over_k() -> None:
    for side in (0, 1):
        assert glft_distance(side, 0.0, 1e-9, 2.0, 0.3, 0.9) == pytest.approx(1 / 0.3, rel=1e-3)
        assert as_finite_distance(side, 3.0, 1e-9, 2.0, 0.3, 60.0) == pytest.approx(1 / 0.3)
