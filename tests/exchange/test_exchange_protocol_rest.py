"""Every REST answer of market and account has the keys and types of other projects' examples."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from protocol_shapes import Known
from protocol_stage import (
    HAS_PROTOCOL,
    SYMBOL,
    WAIT_S,
    WHY_SKIPPED,
    Case,
    Outcomes,
    Stage,
    judge,
    run_cases,
    unused,
)

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not HAS_PROTOCOL, reason=WHY_SKIPPED),
]
DATA = "net:Endpoints/ExchangeData/"
TRADE = "net:Endpoints/Trading/"
ACCOUNT = "net:Endpoints/Account/"
SDK_DATA = "sdk:rest_api/test_market_data_api.py::"
SDK_TRADE = "sdk:rest_api/test_trade_api.py::"
SDK_ACCOUNT = "sdk:rest_api/test_account_api.py::"
SDK_USER = "sdk:rest_api/test_user_data_streams_api.py::"
V1 = "/fapi/v1"

# Explained differences: case, path, problem, reason.
LIVE = "live answers have it, as the notes in ccxt's source show"
TWO_FILTERS = "the official SDK's example merges all filters into one row"
KEYS_OF_OTHER_FILTERS = (
    *("limit", "minQty", "maxQty", "stepSize", "notional"),
    *("multiplierDecimal", "multiplierDown", "multiplierUp"),
)
KNOWN = (
    *(
        Known("exchangeInfo", f"symbols[].filters[PRICE_FILTER].{key}", "missing", TWO_FILTERS)
        for key in KEYS_OF_OTHER_FILTERS
    ),
    Known("exchangeInfo", "assets[].autoAssetExchange", "null", "null: not used as margin"),
    Known("exchangeInfo", "exchangeFilters[]", "empty", "the example is made up"),
    Known("exchangeInfo", "futuresType", "extra", "live answers have it"),
    Known("exchangeInfo", "symbols[].maxMoveOrderLimit", "extra", "live answers have it"),
    Known("exchangeInfo", "symbols[].permissionSets", "extra", "live answers have it"),
    Known("exchangeInfo", "symbols[].filters[PERCENT_PRICE].multiplierDecimal", "type", LIVE),
    Known("account v2", "positions[].breakEvenPrice", "extra", LIVE),
    Known("account v2", "positions[].isolatedMargin", "extra", LIVE),
    Known("account v2", "positions[].isolatedWallet", "extra", LIVE),
    Known("account v2", "positions[].notional", "extra", LIVE),
    Known("positionRisk v3", "[].isAutoAddMargin", "missing", "moved from v2 to symbolConfig"),
    Known("positionRisk v3", "[].leverage", "missing", "moved from v2 to symbolConfig"),
    Known("positionRisk v3", "[].marginType", "missing", "moved from v2 to symbolConfig"),
    Known("positionRisk v3", "[].maxNotionalValue", "missing", "moved from v2 to symbolConfig"),
    Known("adlQuantile", "[].adlQuantile.HEDGE", "missing", "in hedge mode alone"),
    Known("marginType", "*-4084*", "refused", "every position here has cross margin"),
)


def public(name: str, path: str, net: str, sdk: str, **params: str | int) -> Case:
    references = tuple(
        text for text in (f"{DATA}{net}" if net else "", f"{SDK_DATA}{sdk}" if sdk else "") if text
    )
    return Case(name, partial(_get, path=path, params=params), references)


def _get(stage: Stage, path: str, params: dict[str, str | int]) -> object:
    return stage.get(path, **params)


def signed(name: str, path: str, references: tuple[str, ...], **params: object) -> Case:
    method, path = path.split(" ")
    return Case(name, lambda stage: stage.signed(method, path, **params), references)


def filled(stage: Stage, path: str, **params: str | int) -> object:
    """Ask until the answer is not empty: what is measured by the second needs a moment."""
    end_s = time.monotonic() + WAIT_S
    rows = None
    while not rows and time.monotonic() < end_s:
        rows = stage.get(path, **params)
    return rows


def funding_rates(_: Stage) -> object:
    with closing(Stage("--funding-interval-s", "2")) as stage:
        return filled(stage, f"{V1}/fundingRate", symbol=SYMBOL)


MARKET_CASES = (
    public("time", f"{V1}/time", "GetServerTime", "check_server_time"),
    public("exchangeInfo", f"{V1}/exchangeInfo", "GetExchangeInfo", "exchange_information"),
    public("depth", f"{V1}/depth", "GetOrderBook", "order_book", symbol=SYMBOL, limit=10),
    public("trades", f"{V1}/trades", "GetRecentTrades", "recent_trades_list", symbol=SYMBOL),
    public(
        "aggTrades",
        f"{V1}/aggTrades",
        "GetAggregatedTradeHistory",
        "compressed_aggregate_trades_list",
        symbol=SYMBOL,
    ),
    public("klines", f"{V1}/klines", "GetKlines", "", symbol=SYMBOL, interval="1m"),
    public(
        "bookTicker",
        f"{V1}/ticker/bookTicker",
        "GetBookPrice",
        "symbol_order_book_ticker",
        symbol=SYMBOL,
    ),
    public("price v1", f"{V1}/ticker/price", "", "symbol_price_ticker", symbol=SYMBOL),
    public("price v2", "/fapi/v2/ticker/price", "", "symbol_price_ticker_v2", symbol=SYMBOL),
    public("24hr", f"{V1}/ticker/24hr", "", "ticker24hr_price_change_statistics", symbol=SYMBOL),
    public("premiumIndex", f"{V1}/premiumIndex", "", "mark_price", symbol=SYMBOL),
    Case(
        "historicalTrades",
        lambda s: s.keyed("GET", f"{V1}/historicalTrades?symbol={SYMBOL}"),
        (f"{DATA}GetTradeHistory", f"{SDK_DATA}old_trades_lookup"),
    ),
    public("openInterest", f"{V1}/openInterest", "GetOpenInterest", "open_interest", symbol=SYMBOL),
    public("fundingInfo", f"{V1}/fundingInfo", "GetFundingInfo", "get_funding_rate_info"),
    Case(
        "markPriceKlines",
        lambda s: filled(s, f"{V1}/markPriceKlines", symbol=SYMBOL, interval="1m"),
        (f"{DATA}GetMarkPriceKlines",),
    ),
    Case("fundingRate", funding_rates, (f"{SDK_DATA}get_funding_rate_history",)),
)


def two_ways(name: str, path: str, net: str, sdk: str, **params: object) -> Case:
    references = [f"{ACCOUNT}{net}"] if net else []
    return signed(name, path, (*references, sdk), **params)


def dual_side(_: Stage) -> object:
    """Switch to hedge mode on an account without positions."""
    with closing(Stage()) as flat:
        return flat.signed("POST", f"{V1}/positionSide/dual", dualSidePosition="true")


ACCOUNT_CASES = (
    two_ways(
        "account v2",
        "GET /fapi/v2/account",
        "GetAccountInfo",
        f"{SDK_ACCOUNT}account_information_v2",
    ),
    two_ways(
        "account v3",
        "GET /fapi/v3/account",
        "GetAccountInfoV3",
        f"{SDK_ACCOUNT}account_information_v3",
    ),
    two_ways("balance v2", "GET /fapi/v2/balance", "", f"{SDK_ACCOUNT}futures_account_balance_v2"),
    two_ways(
        "balance v3",
        "GET /fapi/v3/balance",
        "GetBalances",
        f"{SDK_ACCOUNT}futures_account_balance_v3",
    ),
    two_ways(
        "positionRisk v2",
        "GET /fapi/v2/positionRisk",
        "GetPositionInformation",
        f"{SDK_TRADE}position_information_v2",
        symbol=SYMBOL,
    ),
    signed(
        "positionRisk v3",
        "GET /fapi/v3/positionRisk",
        (f"{TRADE}GetPositions", f"{SDK_TRADE}position_information_v3"),
        symbol=SYMBOL,
    ),
    two_ways(
        "leverage",
        f"POST {V1}/leverage",
        "ChangeInitialLeverage",
        f"{SDK_TRADE}change_initial_leverage",
        symbol=SYMBOL,
        leverage=21,
    ),
    two_ways(
        "leverageBracket",
        f"GET {V1}/leverageBracket",
        "GetBrackets",
        f"{SDK_ACCOUNT}notional_and_leverage_brackets",
    ),
    two_ways(
        "marginType",
        f"POST {V1}/marginType",
        "ChangeMarginType",
        f"{SDK_TRADE}change_margin_type",
        symbol="ETHUSDT",
        marginType="ISOLATED",
    ),
    two_ways(
        "positionSide/dual GET",
        f"GET {V1}/positionSide/dual",
        "",
        f"{SDK_ACCOUNT}get_current_position_mode",
    ),
    Case(
        "positionSide/dual POST",
        dual_side,
        (f"{ACCOUNT}ModifyPositionMode", f"{SDK_TRADE}change_position_mode"),
    ),
    two_ways(
        "commissionRate",
        f"GET {V1}/commissionRate",
        "GetUserCommissionRate",
        f"{SDK_ACCOUNT}user_commission_rate",
        symbol=SYMBOL,
    ),
    two_ways("income", f"GET {V1}/income", "GetIncomeHistory", f"{SDK_ACCOUNT}get_income_history"),
    two_ways(
        "accountConfig",
        f"GET {V1}/accountConfig",
        "GetAccountConfiguration",
        f"{SDK_ACCOUNT}futures_account_configuration",
    ),
    two_ways(
        "symbolConfig",
        f"GET {V1}/symbolConfig",
        "GetSymbolConfiguration",
        f"{SDK_ACCOUNT}symbol_configuration",
    ),
    two_ways(
        "multiAssetsMargin",
        f"GET {V1}/multiAssetsMargin",
        "GetMultiAssetsMode",
        f"{SDK_ACCOUNT}get_current_multi_assets_mode",
    ),
    two_ways(
        "feeBurn", f"GET {V1}/feeBurn", "GetBnbBurnStatus", f"{SDK_ACCOUNT}get_bnb_burn_status"
    ),
    two_ways(
        "rateLimit/order",
        f"GET {V1}/rateLimit/order",
        "GetOrderRateLimit",
        f"{SDK_ACCOUNT}query_user_rate_limit",
    ),
    two_ways(
        "adlQuantile",
        f"GET {V1}/adlQuantile",
        "GetPositionAdlQuantileEstimation",
        f"{SDK_TRADE}position_adl_quantile_estimation",
    ),
    Case(
        "listenKey POST",
        lambda s: s.keyed("POST", f"{V1}/listenKey"),
        (f"{ACCOUNT}StartUserStream", f"{SDK_USER}start_user_data_stream"),
    ),
    Case(
        "listenKey PUT",
        lambda s: s.keyed("PUT", f"{V1}/listenKey"),
        (f"{SDK_USER}keepalive_user_data_stream",),
    ),
    Case(
        "listenKey DELETE",
        lambda s: s.keyed("DELETE", f"{V1}/listenKey"),
        (f"{ACCOUNT}StopUserStream",),
    ),
)
CASES = MARKET_CASES + ACCOUNT_CASES


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    stage = Stage("--balance", "100000")
    try:
        stage.market("BUY")
        stage.market("SELL", "0.005")
        yield run_cases(stage, CASES)
    finally:
        stage.close()


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_answer_is_as_in_the_examples(outcomes: Outcomes, name: str) -> None:
    assert judge(name, outcomes[name], KNOWN) == []


def test_ping_answers_with_an_empty_object() -> None:
    stage = Stage()
    try:
        assert stage.get(f"{V1}/ping") == {}
    finally:
        stage.close()


def test_every_explanation_explains_something(outcomes: Outcomes) -> None:
    assert unused(outcomes, KNOWN) == []
