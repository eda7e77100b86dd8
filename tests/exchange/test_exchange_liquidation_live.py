"""A running exchange liquidates an account whose fees have eaten its margin, and says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from exchange_process import ExchangeProcess

SYMBOL = "BTCUSDT"


@pytest.fixture
def exchange() -> Iterator[ExchangeProcess]:
    # With a fee of 0.6 % and 0.9 % of margin, what is left after the first fill is below the
    # maintenance margin of 0.4 %.
    process = ExchangeProcess("--seed", "3", "--balance", "20", "--taker-fee", "0.006")
    yield process
    assert process.close() == 0


def test_liquidation_from_order_to_insurance(exchange):
    exchange.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=125)
    market = exchange.connect("/market/ws/btcusdt@forceOrder")
    socket = exchange.user_stream()
    mark = Decimal(exchange.get("/fapi/v1/premiumIndex", symbol=SYMBOL).json()["markPrice"])
    quantity = (Decimal(20) / Decimal("0.009") / mark).quantize(Decimal("0.001"))
    order = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": str(quantity)}
    assert exchange.signed("POST", "/fapi/v1/order", **order).status_code == 200
    told = []
    while not told or told[-1]["e"] != "ACCOUNT_UPDATE" or told[-1]["a"]["m"] != "INSURANCE_CLEAR":
        told.append(json.loads(socket.recv()))
    forced = [e["o"] for e in told if e["e"] == "ORDER_TRADE_UPDATE"]
    forced = [o for o in forced if o["c"].startswith("autoclose-")]
    assert (forced[0]["o"], forced[0]["X"]) == ("LIQUIDATION", "NEW")
    assert (forced[-1]["x"], forced[-1]["X"], forced[-1]["S"]) == ("CALCULATED", "FILLED", "SELL")
    assert sum(Decimal(o["l"]) for o in forced) == quantity
    event = json.loads(market.recv())
    assert event["o"]["z"] == str(quantity)
    (row,) = exchange.signed("GET", "/fapi/v1/forceOrders", symbol=SYMBOL).json()
    assert (row["status"], row["type"], row["timeInForce"]) == ("FILLED", "LIMIT", "IOC")
    account = exchange.signed("GET", "/fapi/v3/account").json()
    income = exchange.signed("GET", "/fapi/v1/income").json()
    assert account["positions"] == []
    wallet = Decimal(account["totalWalletBalance"])
    assert wallet == sum(Decimal(r["income"]) for r in income) >= 0
    assert "INSURANCE_CLEAR" in {r["incomeType"] for r in income}
