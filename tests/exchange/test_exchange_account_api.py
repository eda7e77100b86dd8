"""The account's endpoints and events on a running exchange, in the venue's shapes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
import requests
from exchange_process import SHARED, ExchangeProcess

SYMBOL = "BTCUSDT"
PAYLOADS = SHARED / "protocol" / "official-sdk" / "payloads.json"


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeProcess]:
    process = ExchangeProcess("--seed", "5", "--funding-interval-s", "3")
    yield process
    assert process.close() == 0


@pytest.fixture(autouse=True)
def flat(exchange) -> Iterator[None]:
    yield
    flatten(exchange)


def place(exchange: ExchangeProcess, side: str, quantity: str, **more: str) -> dict:
    params = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": quantity, **more}
    answer = exchange.signed("POST", "/fapi/v1/order", newOrderRespType="RESULT", **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def flatten(exchange: ExchangeProcess) -> None:
    for row in exchange.signed("GET", "/fapi/v2/positionRisk").json():
        amount = Decimal(row["positionAmt"])
        if amount:
            side, leg = "SELL" if amount > 0 else "BUY", row["positionSide"]
            place(exchange, side, str(abs(amount)), positionSide=leg, symbol=row["symbol"])


def code(answer) -> int:
    assert answer.status_code == 400
    return answer.json()["code"]


def events(socket, kind: str, count: int = 1, reason: str = "") -> list[dict]:
    found = []
    while len(found) < count:
        event = json.loads(socket.recv())
        if event["e"] == kind and (not reason or event["a"]["m"] == reason):
            found.append(event)
    return found


def test_fresh_account(exchange):
    body = exchange.signed("GET", "/fapi/v3/account").json()
    assert body["totalWalletBalance"] == body["availableBalance"] == "10000.00000000"
    assert body["positions"] == []
    (row,) = exchange.signed("GET", "/fapi/v1/income").json()
    assert (row["incomeType"], row["income"]) == ("TRANSFER", "10000.00000000")
    assert exchange.signed("GET", "/fapi/v3/positionRisk").json() == []


def test_wallet_is_the_sum_of_income(exchange):
    place(exchange, "BUY", "0.010")
    place(exchange, "SELL", "0.004")
    rows = exchange.signed("GET", "/fapi/v1/income", limit=1000).json()
    account = exchange.signed("GET", "/fapi/v2/account").json()
    after = exchange.signed("GET", "/fapi/v1/income", limit=1000).json()
    if len(after) == len(rows):  # no funding in between
        assert Decimal(account["totalWalletBalance"]) == sum(Decimal(r["income"]) for r in rows)
    trades = exchange.signed("GET", "/fapi/v1/userTrades", symbol=SYMBOL).json()
    fees = [Decimal(r["income"]) for r in rows if r["incomeType"] == "COMMISSION"]
    assert sum(fees) == -sum(Decimal(t["commission"]) for t in trades)
    profits = [r for r in rows if r["incomeType"] == "REALIZED_PNL"]
    assert sum(Decimal(r["income"]) for r in profits) == sum(
        Decimal(t["realizedPnl"]) for t in trades
    )
    only = exchange.signed("GET", "/fapi/v1/income", incomeType="COMMISSION", limit=1).json()
    assert [r["incomeType"] for r in only] == ["COMMISSION"]
    later = exchange.signed("GET", "/fapi/v1/income", startTime=int(time.time() * 1000) + 60_000)
    assert later.json() == []
    assert code(exchange.signed("GET", "/fapi/v1/income", startTime=2, endTime=1)) == -1023
    flatten(exchange)


def test_position_adds_up(exchange):
    place(exchange, "BUY", "0.010")
    (row,) = exchange.signed("GET", "/fapi/v3/positionRisk", symbol=SYMBOL).json()
    amount, mark = Decimal(row["positionAmt"]), Decimal(row["markPrice"])
    assert amount == Decimal("0.010")
    assert Decimal(row["notional"]) == amount * mark
    entry = Decimal(row["entryPrice"])
    assert abs(Decimal(row["unRealizedProfit"]) - amount * (mark - entry)) < Decimal("0.00001")
    assert abs(Decimal(row["initialMargin"]) - amount * mark / 20) < Decimal("0.0000001")
    assert abs(Decimal(row["maintMargin"]) - amount * mark * Decimal("0.004")) < Decimal("1e-7")
    assert Decimal(row["breakEvenPrice"]) > entry
    assert row["liquidationPrice"] == "0"  # 10000 USDT carry 640 USDT down to nothing
    account = exchange.signed("GET", "/fapi/v3/account").json()
    assert [p["positionSide"] for p in account["positions"]] == ["BOTH"]
    flatten(exchange)


def test_funding_is_paid_and_told(exchange):
    socket = exchange.user_stream()
    place(exchange, "BUY", "0.100")
    (told,) = events(socket, "ACCOUNT_UPDATE", reason="FUNDING_FEE")
    (balance,) = told["a"]["B"]
    assert told["a"]["P"] == []
    rows = exchange.signed("GET", "/fapi/v1/income", incomeType="FUNDING_FEE").json()
    assert balance["bc"] in [row["income"] for row in rows]
    rates = exchange.get("/fapi/v1/fundingRate", symbol=SYMBOL).json()
    paid = Decimal(rows[-1]["income"])
    same = [r for r in rates if r["fundingTime"] == rows[-1]["time"]]
    expected = -Decimal("0.1") * Decimal(same[0]["markPrice"]) * Decimal(same[0]["fundingRate"])
    assert abs(paid - expected) <= Decimal("1e-8")
    index = exchange.get("/fapi/v1/premiumIndex", symbol=SYMBOL).json()
    assert 0 < index["nextFundingTime"] - index["time"] <= 3_000
    assert len(exchange.get("/fapi/v1/premiumIndex").json()) == 3
    flatten(exchange)


def transfer(exchange: ExchangeProcess, body: object) -> requests.Response:
    return requests.post(f"{exchange.rest}/local/transfer", json=body, timeout=10)


def test_transfers_are_booked_and_told(exchange):
    socket = exchange.user_stream()
    before = Decimal(exchange.signed("GET", "/fapi/v2/balance").json()[0]["balance"])
    for amount, reason in (
        ("250.5", "DEPOSIT"),
        ("-250.50000001", "WITHDRAW"),
        ("1e-8", "DEPOSIT"),
    ):
        before += Decimal(amount)
        assert Decimal(transfer(exchange, {"amount": amount}).json()["balance"]) == before
        (told,) = events(socket, "ACCOUNT_UPDATE", reason=reason)
        (balance,) = told["a"]["B"]
        assert (Decimal(balance["bc"]), Decimal(balance["wb"])) == (Decimal(amount), before)
        assert told["a"]["P"] == []
    rows = exchange.signed("GET", "/fapi/v1/income", incomeType="TRANSFER").json()
    assert sum(Decimal(row["income"]) for row in rows) == Decimal(10_000)
    assert Decimal(exchange.signed("GET", "/fapi/v2/balance").json()[0]["balance"]) == before


@pytest.mark.parametrize(
    "body",
    [{}, [], {"amount": 5}, *({"amount": text} for text in
     ("", "much", "0", "NaN", "-Infinity", "1e-9", "1e10", "1e999999999", "-1e999999999"))],
)  # fmt: skip
def test_a_transfer_of_no_amount_is_refused(exchange, body):
    refused = transfer(exchange, body)
    assert (refused.status_code, code(refused)) == (400, -1130)


def test_no_more_is_paid_out_than_is_available(exchange):
    assert code(transfer(exchange, {"amount": "-10001"})) == -2019


def test_hedge_mode_from_beginning_to_end(exchange):
    dual = "/fapi/v1/positionSide/dual"
    assert exchange.signed("GET", dual).json() == {"dualSidePosition": False}
    assert code(exchange.signed("POST", dual, dualSidePosition="false")) == -4059
    stop = {"symbol": SYMBOL, "side": "BUY", "type": "STOP_MARKET", "quantity": "0.010"}
    stop.update(algoType="CONDITIONAL", triggerPrice="1000000.0")
    assert exchange.signed("POST", "/fapi/v1/algoOrder", **stop).status_code == 200
    assert code(exchange.signed("POST", dual, dualSidePosition="true")) == -4067
    exchange.signed("DELETE", "/fapi/v1/algoOpenOrders", symbol=SYMBOL)
    assert exchange.signed("POST", dual, dualSidePosition="true").json()["code"] == 200
    assert exchange.signed("GET", "/fapi/v1/accountConfig").json()["dualSidePosition"] is True
    socket = exchange.user_stream()
    place(exchange, "BUY", "0.010", positionSide="LONG")
    place(exchange, "SELL", "0.006", positionSide="SHORT")
    last = ""
    while last != "-0.006":
        (told,) = events(socket, "ACCOUNT_UPDATE", reason="ORDER")
        (leg,) = told["a"]["P"]
        last = leg["pa"]
        assert leg["ps"] == ("SHORT" if last.startswith("-") else "LONG")
    rows = exchange.signed("GET", "/fapi/v3/positionRisk", symbol=SYMBOL).json()
    held = {row["positionSide"]: row["positionAmt"] for row in rows}
    assert held == {"LONG": "0.010", "SHORT": "-0.006"}
    assert len({row["liquidationPrice"] for row in rows}) == 1
    assert code(exchange.signed("POST", dual, dualSidePosition="false")) == -4068
    flatten(exchange)
    assert exchange.signed("POST", dual, dualSidePosition="false").json()["code"] == 200


def test_leverage_and_its_event(exchange):
    socket = exchange.user_stream()
    answer = exchange.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=50).json()
    assert answer == {"leverage": 50, "maxNotionalValue": "12000000", "symbol": SYMBOL}
    (told,) = events(socket, "ACCOUNT_CONFIG_UPDATE")
    assert told["ac"] == {"s": SYMBOL, "l": 50}
    (config,) = exchange.signed("GET", "/fapi/v1/symbolConfig", symbol=SYMBOL).json()
    assert config["leverage"] == 50
    refused = exchange.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=126)
    assert code(refused) == -4028
    assert refused.json()["msg"] == "Leverage 126 is not valid"
    exchange.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=20)


def test_brackets_with_and_without_a_symbol(exchange):
    every = exchange.signed("GET", "/fapi/v1/leverageBracket").json()
    one = exchange.signed("GET", "/fapi/v1/leverageBracket", symbol=SYMBOL).json()
    assert [row["symbol"] for row in every] == ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
    assert one == every[0]
    first = {"bracket": 1, "initialLeverage": 125, "notionalCap": 50_000, "notionalFloor": 0}
    assert one["brackets"][0] == {**first, "maintMarginRatio": 0.004, "cum": 0}


#  method path                              parameters                     code
REFUSALS = """
   POST   /fapi/v1/marginType               symbol=BTCUSDT,marginType=CROSSED   -4046
   POST   /fapi/v1/marginType               symbol=BTCUSDT,marginType=ISOLATED  -4084
   POST   /fapi/v1/multiAssetsMargin        multiAssetsMargin=true              -4084
   POST   /fapi/v1/multiAssetsMargin        multiAssetsMargin=false             -4171
   POST   /fapi/v1/feeBurn                  feeBurn=true                        -4084
   POST   /fapi/v1/leverage                 symbol=BTCUSDT                      -1102
   GET    /fapi/v1/commissionRate           -                                   -1102
   GET    /fapi/v1/leverageBracket          symbol=NOSUCH                       -1121
   POST   /fapi/v1/positionSide/dual        -                                   -1102
"""


@pytest.mark.parametrize("line", REFUSALS.split("\n")[1:-1])
def test_refusals(exchange, line):
    method, path, text, expected = line.split()
    params = dict(part.split("=") for part in text.split(",")) if text != "-" else {}
    assert code(exchange.signed(method, path, **params)) == int(expected)


def test_listen_key_rules(exchange):
    first = exchange.keyed("POST", "/fapi/v1/listenKey").json()["listenKey"]
    assert exchange.keyed("POST", "/fapi/v1/listenKey").json()["listenKey"] == first
    assert exchange.keyed("PUT", "/fapi/v1/listenKey").json() == {"listenKey": first}
    assert exchange.keyed("DELETE", "/fapi/v1/listenKey").json() == {}
    assert code(exchange.keyed("PUT", "/fapi/v1/listenKey")) == -1125
    key = {"sign": False, "apiKey": "test-key"}
    started = exchange.call("userDataStream.start", **key)
    assert started["status"] == 200
    assert started["result"]["listenKey"] != first
    assert exchange.call("userDataStream.ping", **key)["result"] == started["result"]
    assert exchange.call("userDataStream.stop", **key)["result"] == {}
    assert exchange.call("userDataStream.ping", **key)["error"]["code"] == -1125
    assert exchange.call("userDataStream.start", sign=False)["status"] == 401


def test_deleted_key_falls_silent_for_all(exchange):
    socket = exchange.user_stream()
    exchange.keyed("DELETE", "/fapi/v1/listenKey")
    renewed = exchange.user_stream()
    place(exchange, "BUY", "0.002")
    assert events(renewed, "ORDER_TRADE_UPDATE")
    socket.settimeout(0.2)
    with pytest.raises(Exception, match="timed out"):
        socket.recv()
    flatten(exchange)


# name in the official client's tests -> (method, path or WS-API method, parameters)
EXAMPLES = {
    "account_information_v2": ("GET", "/fapi/v2/account", {}),
    "account_information_v3": ("GET", "/fapi/v3/account", {}),
    "futures_account_balance_v2": ("GET", "/fapi/v2/balance", {}),
    "futures_account_balance_v3": ("GET", "/fapi/v3/balance", {}),
    "futures_account_configuration": ("GET", "/fapi/v1/accountConfig", {}),
    "get_bnb_burn_status": ("GET", "/fapi/v1/feeBurn", {}),
    "get_current_multi_assets_mode": ("GET", "/fapi/v1/multiAssetsMargin", {}),
    "get_current_position_mode": ("GET", "/fapi/v1/positionSide/dual", {}),
    "get_income_history": ("GET", "/fapi/v1/income", {}),
    "notional_and_leverage_brackets": ("GET", "/fapi/v1/leverageBracket", {}),
    "query_user_rate_limit": ("GET", "/fapi/v1/rateLimit/order", {}),
    "symbol_configuration": ("GET", "/fapi/v1/symbolConfig", {"symbol": SYMBOL}),
    "user_commission_rate": ("GET", "/fapi/v1/commissionRate", {"symbol": SYMBOL}),
    "position_information_v2": ("GET", "/fapi/v2/positionRisk", {"symbol": SYMBOL}),
    "position_information_v3": ("GET", "/fapi/v3/positionRisk", {"symbol": SYMBOL}),
    "mark_price": ("GET", "/fapi/v1/premiumIndex", {"symbol": SYMBOL}),
    "get_funding_rate_history": ("GET", "/fapi/v1/fundingRate", {"symbol": SYMBOL}),
    "get_funding_rate_info": ("GET", "/fapi/v1/fundingInfo", {}),
    "ws account_information": ("WS", "account.status", {}),
    "ws account_information_v2": ("WS", "v2/account.status", {}),
    "ws futures_account_balance": ("WS", "account.balance", {}),
    "ws futures_account_balance_v2": ("WS", "v2/account.balance", {}),
    "ws position_information": ("WS", "account.position", {"symbol": SYMBOL}),
    "ws position_information_v2": ("WS", "v2/account.position", {"symbol": SYMBOL}),
}


def differences(example: object, ours: object, where: str) -> Iterator[str]:
    """Yield what an example has and ours lacks or has as another JSON type."""
    if isinstance(example, dict) and isinstance(ours, dict):
        for key, value in example.items():
            if key in ours:
                yield from differences(value, ours[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is missing"
    elif isinstance(example, list) and isinstance(ours, list):
        if example:
            assert ours, f"{where} is empty"
            yield from differences(example[0], ours[0], f"{where}[0]")
    elif type(example) is not type(ours):
        yield f"{where}: {example!r} and {ours!r}"


@pytest.mark.recordings
def test_shapes_are_those_of_the_official_client(exchange):
    if not PAYLOADS.is_file():
        pytest.skip("the recordings in ../shared are absent")
    examples = json.loads(PAYLOADS.read_text())
    socket = exchange.user_stream()
    place(exchange, "BUY", "0.002")
    events(socket, "ACCOUNT_UPDATE", reason="FUNDING_FEE")
    found = []
    for name, (method, path, params) in EXAMPLES.items():
        group = "websocket_api/test_" if method == "WS" else "rest_api/test_"
        rows = {k: v for g, row in examples.items() if g.startswith(group) for k, v in row.items()}
        example = rows[f"test_{name.removeprefix('ws ')}_success"]["expected_response"]
        if method == "WS":
            ours = exchange.call(path, **params)
            assert ours["status"] == 200
            found += differences(example["result"], ours["result"], path)
        else:
            ours = exchange.signed(method, path, **params).json()
            found += differences(example, ours, path)
    flatten(exchange)
    assert found == []
