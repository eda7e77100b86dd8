"""Knobs of system_config.yaml that name the venue, and those of the embedded exchange."""

from config.knob import Knob

_FILE = "system"

# No user name, query or fragment: a URL in a file or a log line must not be able to hold a secret.
_AFTER_SCHEME = r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,39}\])(?::[0-9]{1,5})?(?:/[\w.~/-]*)?"
HTTP_URL = rf"(?:https?://{_AFTER_SCHEME})?"
STREAM_URL = rf"(?:wss?://{_AFTER_SCHEME})?"
_HTTP_MEANING = "empty, or an http or https URL without user, query and fragment"
_STREAM_MEANING = "empty, or a ws or wss URL without user, query and fragment"

VENUE = (
    Knob(
        _FILE, "venue.mode", "str", "", "sim",
        choices=("sim", "capture", "paper", "testnet", "live"),
        meaning="Embedded exchange with synthetic flow or with a recording, live prices with "
        "embedded matching, the venue's testnet, or the live venue",
    ),
    Knob(
        _FILE, "venue.rest_url", "str", "URL", "",
        pattern=HTTP_URL, pattern_meaning=_HTTP_MEANING,
        meaning="REST host; empty: the mode's own",
    ),
    Knob(
        _FILE, "venue.stream_url", "str", "URL", "",
        pattern=STREAM_URL, pattern_meaning=_STREAM_MEANING,
        meaning="Market-data host, to which /public or /market is added; empty: the mode's own",
    ),
    Knob(
        _FILE, "venue.private_stream_url", "str", "URL", "",
        pattern=STREAM_URL, pattern_meaning=_STREAM_MEANING,
        meaning="User-data host with its path; empty: the mode's own",
    ),
    Knob(
        _FILE, "venue.ws_api_url", "str", "URL", "",
        pattern=STREAM_URL, pattern_meaning=_STREAM_MEANING,
        meaning="Host and path of the WebSocket API for orders; empty: the mode's own",
    ),
    Knob(
        # Venue: recvWindow above 60 000 is refused; below a network round trip, so is every order.
        _FILE, "venue.recv_window_ms", "int", "ms", 5000, 100, 60_000,
        "Age at which the venue refuses a signed request",
    ),
    Knob(
        _FILE, "venue.request_timeout_ms", "int", "ms", 2000, 50, 60_000,
        "Time without a response after which a request's outcome counts as unknown",
    ),
    Knob(
        # Long enough for a restart of the executor, short enough that a quote cannot wait for long.
        _FILE, "venue.countdown_s", "float", "s", 10.0, 0.0, 600.0,
        "Silence of ours after which the venue cancels a symbol's open orders; 0: never. With many "
        "symbols the time is longer, as request weight is limited",
    ),
    Knob(
        _FILE, "venue.countdown_beat_s", "float", "s", 3.0, 0.5, 200.0,
        "Time between two renewals of that countdown; two that fail take the symbol's entries",
    ),
    Knob(
        # Our own exits are decided by best prices and trades, which the last price follows; the
        # mark price is smoothed and moves once a second, so a stop by it would come later.
        _FILE, "venue.stop_working_type", "str", "", "CONTRACT_PRICE",
        choices=("CONTRACT_PRICE", "MARK_PRICE"),
        meaning="Price that triggers a stop resting at the venue: of the last trade, or the mark",
    ),
    Knob(
        _FILE, "venue.depth_stream", "str", "", "0ms",
        choices=("0ms", "100ms", "250ms", "500ms"),
        meaning="Update speed of the diff-depth stream; 0ms is every change as it happens",
    ),
    Knob(
        _FILE, "venue.trade_stream", "str", "", "trade",
        choices=("trade", "aggTrade"),
        meaning="Single trades, or trades aggregated by taker order",
    ),
    Knob(
        # Venue: /fapi/v1/depth takes a few fixed limits; these are the ones from 50 up.
        _FILE, "venue.snapshot_limit", "int", "levels", 1000,
        choices=(50, 100, 500, 1000),
        meaning="Levels of a depth snapshot; the more, the more request weight it costs",
    ),
    Knob(
        _FILE, "venue.stale_connection_ms", "int", "ms", 10_000, 500, 600_000,
        "Silence after which a market-data connection is replaced",
    ),
)  # fmt: skip

EXCHANGE = (
    Knob(
        _FILE, "exchange.market", "str", "", "synthetic",
        choices=("synthetic", "capture"),
        meaning="What the embedded exchange plays: synthetic order flow or a recording",
    ),
    Knob(
        _FILE, "exchange.seed", "int", "", 7, 0, 4_294_967_295,
        "Seed of the synthetic flow",
    ),
    Knob(
        _FILE, "exchange.port", "int", "port", 0, 0, 65_535,
        "Port on the loopback interface; 0: any free one",
    ),
    Knob(
        _FILE, "exchange.capture", "list[str]", "path", (),
        pattern=r"[^\x00-\x1f\x7f]{1,4096}",
        pattern_meaning="a path of 1 to 4096 characters without control characters",
        n_item_max=64, unique=True,
        meaning="Files of the recording, in the order they are played",
    ),
    Knob(
        _FILE, "exchange.speed", "str", "times", "1",
        pattern=r"max|(?!0+(?:\.0*)?$)[0-9]{1,5}(?:\.[0-9]{1,6})?",
        pattern_meaning='"max", or a positive number below 100000 in quotes',
        meaning="Speed of the market against the clock; max: as fast as it is read",
    ),
    Knob(
        _FILE, "exchange.balance_usd", "float", "USD", 10_000.0, 1.0, 1_000_000_000.0,
        "Balance of the account at start",
    ),
    Knob(
        _FILE, "exchange.maker_fee", "float", "fraction", 0.0002, -0.001, 0.01,
        "Fee of a fill that rested in the book; negative: a rebate",
    ),
    Knob(
        _FILE, "exchange.taker_fee", "float", "fraction", 0.0005, 0.0, 0.01,
        "Fee of a fill that crossed the spread",
    ),
    Knob(
        _FILE, "exchange.rate", "float", "events/s", 40.0, 0.1, 100_000.0,
        "Synthetic flow events per second and symbol",
    ),
    Knob(
        _FILE, "exchange.regime", "str", "", "mixed",
        choices=("quiet", "trending", "volatile", "flash-crash", "mixed"),
        meaning="Weather of the synthetic market; mixed goes from one regime to another",
    ),
    Knob(
        _FILE, "exchange.faults", "list[str]", "", (),
        pattern=r"[a-z_0-9]{1,40}(?::[^\x00-\x1f\x7f]{0,300})?",
        pattern_meaning="name:key=value,key=value",
        n_item_max=64,
        meaning="Fault switches that are armed from the start; docs/EXCHANGE.md lists them",
    ),
)  # fmt: skip

KNOBS = VENUE + EXCHANGE
