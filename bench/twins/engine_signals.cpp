// The eight signals, the strategies and their validation; the inside of `struct Engine`.

void evaluate_signals(Symbol& s) {
    s.known = 0;
    std::fill(s.scores, s.scores + FACTORS, 0.0);
    const double tick = 1.0 / std::max<i64>(s.last, 1);
    const double seen = s.weight_60 > 0.0 ? s.variance_sum / s.weight_60 : 0.0;
    s.variance = std::max(seen, tick * tick);
    const bool is_warm = s.weight_60 > 0.0;
    const double volatility = std::sqrt(s.variance);
    if (s.trades >= 3 && is_warm) {
        const i64 oldest = (s.trades - 3) & 3, before = s.trade_tick[oldest];
        const double moved = double(s.last - before);
        s.micro_trend = moved / before;
        const i64 age_ms = s.clock - s.trade_ms[oldest];
        double scale = volatility * before;
        if (age_ms > 1000) scale *= std::sqrt(age_ms / 1000.0);
        note(s, MOMENTUM, soft_ratio(moved, scale));
    }
    if (s.buckets > 40 && is_warm) {
        const i64 middle = s.grid[(s.bucket - 20) & 63], oldest = s.grid[(s.bucket - 40) & 63];
        s.velocity = double(s.last - middle) / middle;
        s.acceleration = s.velocity - double(middle - oldest) / oldest;
        const double moved = 0.5 * (s.velocity + s.acceleration);
        note(s, ACCELERATION, soft_ratio(moved, volatility * VELOCITY_ROOT));
    }
    int parts = 0;
    double total = 0.0;
    if (s.trades > 0) total += (s.buy - s.sell) / (s.buy + s.sell + 1.0), ++parts;
    if (s.quotes > 1) total += s.ofi / (s.ofi_gross + 1.0), ++parts;
    if (parts > 0) note(s, FLOW, parts > 1 ? 0.5 * total : total);
    if (is_warm && s.slow > 0.0) {
        const double limit = set.volume_spike_ratio;
        s.volume_ratio = s.fast * (60.0 * s.weight_60) / s.slow;
        double score = 0.0;
        if (s.volume_ratio >= limit) {
            score = 1.0 - limit / (2.0 * s.volume_ratio);
            const double net = s.buy - s.sell;
            if (std::fabs(net) <= 1e-9 * (s.buy + s.sell))
                score = 0.0;
            else if (net < 0.0)
                score = -score;
        }
        note(s, SPIKE, score);
    }
    if (s.has_imbalance)
        note(s, IMBALANCE, s.imbalance);
    else if (s.bid && s.bid_lot + s.ask_lot > 0)
        note(s, IMBALANCE, double(s.bid_lot - s.ask_lot) / (s.bid_lot + s.ask_lot));
    if (s.trades >= set.ema_slow_span && is_warm)
        note(s, CROSS, soft_ratio(s.ema_fast - s.ema_slow, volatility * s.ema_slow));
    if (s.bars > set.rsi_period) score_rsi(s);
    if (s.spread_weight > 0.0 && s.bid) {
        const double deviation = std::max(std::sqrt(s.spread_variance), 0.5);
        const double wider = (s.ask - s.bid) - s.spread_mean;
        s.spread_deviation = wider / deviation;
        double score = 0.0;
        if (s.scores[FLOW] > 0.0) score = -soft_ratio(wider, deviation);
        if (s.scores[FLOW] < 0.0) score = soft_ratio(wider, deviation);
        note(s, SPREAD, score);
    }
}
void score_rsi(Symbol& s) {
    const double low = set.rsi_oversold, high = set.rsi_overbought;
    double score = 0.5 * s.divergence;
    if (s.rsi < low) score += 0.5 + 0.5 * (low - s.rsi) / low;
    else if (s.rsi > high) score -= 0.5 + 0.5 * (s.rsi - high) / (100.0 - high);
    note(s, RSI, std::min(std::max(score, -1.0), 1.0));
}
int propose(const Symbol& s, int strategy) const {
    if (strategy == 1) {
        if (!(s.known >> ACCELERATION & 1)) return 0;
        if (std::fabs(s.acceleration) <= set.momentum_acceleration) return 0;
        const int side = sign_of(s.acceleration);
        const int confirming = set.use_volume_spikes ? SPIKE : FLOW;
        return sign_of(s.velocity) == side && sign_of(s.scores[confirming]) == side ? side : 0;
    }
    if (strategy == 2) {
        if (!(s.known >> RSI & 1)) return 0;
        const int side = s.rsi < set.rsi_oversold ? 1 : s.rsi > set.rsi_overbought ? -1 : 0;
        return side == sign_of(s.scores[FLOW]) ? side : 0;
    }
    if (strategy == 3) {
        const double imbalance = s.scores[IMBALANCE];
        if (!(s.known >> IMBALANCE & s.known >> MOMENTUM & 1)) return 0;
        if (std::fabs(imbalance) <= set.order_flow_imbalance) return 0;
        const int side = sign_of(imbalance);
        return sign_of(s.micro_trend) == side ? side : 0;
    }
    return 0;
}
void combine(Symbol& s, int side, int trigger) const {
    double total = 0.0, weighted = 0.0, agreeing = 0.0, opposing = 0.0;
    s.agreeing = s.opposing = 0;
    for (int factor = 0; factor < FACTORS; ++factor) {
        const double weight = set.weights[factor], score = s.scores[factor];
        if (!(s.known >> factor & 1) || weight <= 0.0) continue;
        total += weight;
        weighted += weight * score;
        if (score * side >= 0.05)
            s.agreeing |= 1 << factor, agreeing += weight;
        else if (score * side <= -0.05)
            s.opposing |= 1 << factor, opposing += weight;
    }
    const double active = agreeing + opposing;
    s.score = total > 0.0 ? weighted / total : 0.0;
    s.confidence = active > 0.0 ? agreeing / active : 0.0;
    s.confirmations = __builtin_popcountll(s.agreeing & ~(1ll << trigger));
}
bool decide(Symbol& s) {
    constexpr int triggers[4] = {0, ACCELERATION, RSI, IMBALANCE};
    const thresholds& limit = limits[&s - states.data()];
    for (int strategy = 1; strategy <= 3; ++strategy) {
        const int side = set.strategy_enabled[strategy] ? propose(s, strategy) : 0;
        if (!side) continue;
        ++counters.candidates;
        if (s.signal_ms && s.clock - s.signal_ms < limit.cooldown_ms) {
            ++counters.cooled;
            continue;
        }
        combine(s, side, triggers[strategy]);
        if (s.score * side < limit.signal_threshold || s.score * side <= 0.0 ||
            s.confidence < limit.confidence_threshold || s.confirmations < limit.min_confirmations) {
            ++counters.unconfirmed;
            continue;
        }
        s.side = side;
        s.strategy = strategy;
        s.signal_ms = s.clock;
        return true;
    }
    return false;
}
bool evaluate(Symbol& s, const Book& book) {
    s.strategy = s.side = 0;
    ++s.evaluated;
    ++counters.evaluations;
    evaluate_signals(s);
    if (s.quarantine.bits && stays_quarantined(s)) return false;
    if (s.evaluated < set.warmup_events) return false;
    if (set.require_book && (book.state != book::VALID || book.crossed_run || !s.bid)) return false;
    return decide(s);
}
enum Refusal { R_SYMBOL, R_KIND, R_PRICE, R_QUANTITY, R_CROSSED_BEST, R_CROSSED_BOOK, R_TIME, R_JUMP, R_DROPPED };

bool refuse(Symbol* s, Refusal reason) {
    ++counters.refused;
    ++counters.reasons[reason];
    if (!s) return false;
    counters.quarantines += !s->quarantine.bits;
    s->quarantine = {s->quarantine.bits | 1 << reason, s->clock, 0};
    return false;
}
bool stays_quarantined(Symbol& s) {
    Quarantine& q = s.quarantine;
    ++q.sound_events;
    s.jump_run = 0;
    if (!q.sound_ms) q.sound_ms = s.clock;
    if (q.sound_events >= 16 && s.clock - q.sound_ms >= set.quarantine_ms) {
        q.bits = 0;
        ++counters.ended;
        return false;
    }
    ++counters.quarantined;
    return true;
}
void refer(Symbol& s, i64 tick) const {
    const i64 half = i64(0.5 * set.jump_max * tick);
    s.reference = tick, s.low = tick - half, s.high = tick + half;
}
bool jumps(Symbol& s, i64 low, i64 high) const {
    const i64 middle = (low + high) >> 1;
    if (is_near(s, low, high)) {
        refer(s, middle);
        return false;
    }
    if (!s.jump_run || std::abs(middle - s.jump_tick) > set.jump_max * s.jump_tick) {
        s.jump_run = 0;
        s.jump_tick = middle;
    }
    if (++s.jump_run < 16) return true;
    start_over(s);
    refer(s, middle);
    return false;
}
void withdraw(Symbol& s, Book& book) {
    counters.invalidations += book.state != book::INVALID;
    book.state = book::INVALID;
    s.has_imbalance = 0;
    s.imbalance = 0.0;
}
static bool is_price(i64 tick) { return 0 < tick && tick <= PRICE_MAX; }
static bool is_lot(i64 lot) { return 0 < lot && lot <= LOT_MAX; }

void give_back(Symbol& s, Book& book) {
    withdraw(s, book);
    ++counters.requests;
}
bool settle(Symbol& s, Book& book) {
    const i64 moved = book.recentres;
    const auto result = book.settle();
    counters.recentres += book.recentres - moved;
    counters.crossed += result == book::CROSSED;
    if (result == book::LOSSY) {
        give_back(s, book);
        return false;
    }
    if (book.crossed_run >= 2) {
        refuse(&s, R_CROSSED_BOOK);
        give_back(s, book);
        return false;
    }
    if (result == book::CROSSED) return false;
    const i64 bid = book.sides[0].best, ask = book.sides[1].best;
    if ((bid <= s.high && (ask >= s.low || !ask)) || !s.reference) return true;
    const i64 odd = bid > s.high ? bid : ask;
    if (is_near(s, odd, odd) || !jumps(s, odd, odd)) return true;
    refuse(&s, R_JUMP);
    give_back(s, book);
    return false;
}
bool take_level(Symbol& s, Book& book, const market_event& e) {
    if (book.state == book::INVALID) return false;
    if (!is_price(e.price_tick) || e.quantity_lot < 0 || e.quantity_lot > LOT_MAX) {
        give_back(s, book);
        return refuse(&s, is_price(e.price_tick) ? R_QUANTITY : R_PRICE);
    }
    const i64 lost = book.far_lost;
    if (book.apply(e.flags & FLAG_ASK, e.price_tick, e.quantity_lot)) {
        ++counters.far;
        counters.overflow += book.far_lost - lost;
    }
    if (!(e.flags & FLAG_LAST) || book.state != book::VALID || !settle(s, book)) return false;
    if (!(e.flags & FLAG_DELAYED)) {
        const i64 ms = accept(s, e.venue_ns);
        if (ms < 0) return refuse(&s, R_TIME);
        advance(s, ms);
    }
    depth(s, book);
    return !(e.flags & FLAG_DELAYED) && evaluate(s, book);
}
bool take(const market_event& e) {
    if (e.symbol >= states.size()) return refuse(nullptr, R_SYMBOL);
    Symbol& s = states[e.symbol];
    Book& book = books[e.symbol];
    if (e.kind == LEVEL) return take_level(s, book, e);
    if (e.kind == BEST || e.kind == TRADE) {
        const bool is_best = e.kind == BEST;
        const i64 low = e.price_tick, high = is_best ? e.ask_tick : low;
        int reason = -1;
        if (!is_price(low) || !is_price(high))
            reason = R_PRICE;
        else if (is_best && low >= high)
            reason = R_CROSSED_BEST;
        else if ((low < s.low || high > s.high) && jumps(s, low, high))
            reason = R_JUMP;
        else if (!is_lot(e.quantity_lot) || (is_best && !is_lot(e.ask_lot)))
            reason = R_QUANTITY;
        if (reason >= 0) {
            if (is_best) s.bid = s.bid_lot = s.ask = s.ask_lot = 0;
            return refuse(&s, Refusal(reason));
        }
        const i64 ms = accept(s, e.venue_ns);
        if (ms < 0) return refuse(&s, R_TIME);
        advance(s, ms);
        if (is_best) {
            best(s, e.price_tick, e.quantity_lot, e.ask_tick, e.ask_lot);
            s.quote_ms = ms;
        } else {
            trade(s, e.price_tick, e.quantity_lot, e.flags & FLAG_ASK);
        }
        return !(e.flags & FLAG_DELAYED) && evaluate(s, book);
    }
    if (e.kind == BEGIN) {
        book.clear();
        book.state = book::BUILDING;
        s.has_imbalance = 0;
        s.imbalance = 0.0;
    } else if (e.kind == END) {
        if (book.state == book::BUILDING) book.state = book::VALID;
        if (book.state == book::VALID && settle(s, book)) depth(s, book);
    } else if (e.kind == WITHDRAWN) {
        withdraw(s, book);
        s.bid = s.bid_lot = s.ask = s.ask_lot = 0;
    } else if (e.kind != MARK) {
        return refuse(&s, e.kind == DROPPED ? R_DROPPED : R_KIND);
    }
    return false;
}
void fill(const market_event& e, signal_record& out) const {
    const Symbol& s = states[e.symbol];
    out.origin_ns = out.written_ns = e.origin_ns;
    out.venue_ns = e.venue_ns;
    out.signal_id = out.sequence = signal_id;
    out.bid_tick = s.bid;
    out.ask_tick = s.ask;
    out.strength = std::fabs(s.score);
    out.confidence = s.confidence;
    out.volatility = std::sqrt(s.variance);
    for (int factor = 0; factor < FACTORS; ++factor) out.scores[factor] = float(s.scores[factor]);
    out.symbol = e.symbol;
    out.agreeing = s.agreeing;
    out.opposing = s.opposing;
    out.strategy = s.strategy;
    out.confirmations = s.confirmations;
    out.side = s.side;
    out.exit_rule = set.exit_rule[s.strategy];
    out.mean_tick = out.exit_rule == RETURN_TO_MEAN ? i64(std::floor(s.ema_slow + 0.5)) : 0;
    out.hold_ms_min = set.hold_ms_min[s.strategy];
    out.hold_ms_max = set.hold_ms_max[s.strategy];
    out.stop_pct = float(set.stop_pct[s.strategy]);
    out.target_pct = float(set.target_pct[s.strategy]);
}
