// The engine of engine/events.py once more in C++: the same work for each market event, on memory
// of its own. Sums are taken in the same order and without fused operations (-ffp-contract=off), so
// that the signals must be equal byte for byte. The records come from the field tables.

#include "engine_book.cpp"
#include "engine_records.hpp"

#include <cmath>
#include <vector>

namespace {

using book::Book;
using book::Level;
constexpr i64 PRICE_MAX = 1ll << 40, LOT_MAX = 1ll << 48;
enum Factor { MOMENTUM, ACCELERATION, FLOW, SPIKE, IMBALANCE, CROSS, RSI, SPREAD, FACTORS };
enum Kind { TRADE = KIND_TRADE, BEST = KIND_BEST, LEVEL = KIND_LEVEL, BEGIN = KIND_BEGIN,
            END = KIND_END, WITHDRAWN = KIND_INVALID, MARK = KIND_MARK,
            DROPPED = KIND_DROPPED };

struct Counters {
    i64 events, evaluations, candidates, cooled, unconfirmed, far, recentres, overflow, crossed,
        refused, invalidations, signals, requests, quarantines, ended, quarantined;
    i64 reasons[9];
};

// What stays when a state starts over.
struct Quarantine {
    i64 bits, sound_ms, sound_events;
};

struct Symbol {
    Quarantine quarantine;
    i64 clock, low, high, reference, jump_run, jump_tick;
    i64 late, refused_run, evaluated, trades, trade_tick[4], trade_ms[4], last;
    double weight_60, variance_sum, buy, sell, fast, slow, ema_fast, ema_slow;
    i64 bucket, buckets, grid[64];
    i64 bar_second, bar_tick, bars, close;
    double gain, loss, rsi;
    i64 divergence, closes[32];
    double rsis[32];
    i64 bid, bid_lot, ask, ask_lot, quote_ms, quotes;
    double ofi, ofi_gross, spread_weight, spread_mean, spread_variance;
    double imbalance, bid_liquidity, ask_liquidity, bid_pressure, ask_pressure;
    i64 has_imbalance;
    double variance, micro_trend, velocity, acceleration, volume_ratio, spread_deviation;
    double scores[FACTORS];
    i64 known, side, strategy, agreeing, opposing, confirmations, signal_ms;
    double score, confidence;
};

const double VELOCITY_ROOT = std::sqrt(5.0);
double soft_ratio(double value, double scale) { return value / (scale + std::fabs(value)); }
int sign_of(double value) { return value > 0.0 ? 1 : value < 0.0 ? -1 : 0; }

struct Engine {
    parameters set;
    std::vector<thresholds> limits;
    std::vector<Symbol> states;
    std::vector<Book> books;
    Counters counters{};
    i64 signal_id = 0;

    Engine(const parameters& given, const thresholds* first, i64 count)
        : set(given), limits(first, first + count), states(count), books(count) {}

    double decay(int row, i64 ms) const {
        const i64 first = row * 256;
        if (ms < 256) return set.decay_1[first + ms];
        return set.decay_1[first + (ms & 255)] * set.decay_256[first + ((ms >> 8) & 255)] *
               set.decay_65536[first + std::min<i64>(ms >> 16, 255)];
    }
    static void start_over(Symbol& s) {
        const Quarantine kept{s.quarantine.bits, 0, 0};
        s = Symbol{};
        s.quarantine = kept;
    }
    bool is_near(const Symbol& s, i64 low, i64 high) const {
        const double reach = set.jump_max * s.reference;
        return !s.reference || (s.reference - low <= reach && high - s.reference <= reach);
    }
    i64 accept(Symbol& s, i64 venue_ns) {
        if (venue_ns <= 0) return -1;
        const i64 ms = venue_ns / 1'000'000, late = s.clock - ms;
        if (late > 10'000) {
            if (++s.refused_run < 16) return -1;
            start_over(s);
            return ms;
        }
        s.refused_run = 0;
        if (late > 0) {
            ++s.late;
            return s.clock;
        }
        return ms;
    }
    void close_bar(Symbol& s) {
        const i64 period = set.rsi_period, close = s.bar_tick;
        s.bar_tick = 0;
        if (++s.bars == 1) {
            s.gain = s.loss = 0.0;
        } else {
            const i64 change = close - s.close, changes = s.bars - 1;
            const double up = std::max<i64>(change, 0), down = std::max<i64>(-change, 0);
            if (changes <= period) {
                s.gain += up;
                s.loss += down;
                if (changes == period) s.gain /= period, s.loss /= period;
            } else {
                s.gain = (s.gain * (period - 1) + up) / period;
                s.loss = (s.loss * (period - 1) + down) / period;
            }
        }
        s.close = close;
        s.rsi = 50.0;
        if (s.bars > period) {
            if (s.gain + s.loss > 0.0) s.rsi = 100.0 * s.gain / (s.gain + s.loss);
            s.divergence = diverges(s, close);
        }
        s.closes[(s.bars - 1) & 31] = close;
        s.rsis[(s.bars - 1) & 31] = s.rsi;
    }
    i64 diverges(const Symbol& s, i64 close) const {
        if (s.bars - set.rsi_period - 1 < 20) return 0;
        i64 lowest = (s.bars - 2) & 31, highest = lowest;
        for (i64 back = 3; back < 22; ++back) {
            const i64 place = (s.bars - back) & 31;
            if (s.closes[place] < s.closes[lowest]) lowest = place;
            if (s.closes[place] > s.closes[highest]) highest = place;
        }
        if (close < s.closes[lowest] && s.rsi > s.rsis[lowest]) return 1;
        return close > s.closes[highest] && s.rsi < s.rsis[highest] ? -1 : 0;
    }
    void advance(Symbol& s, i64 now) {
        const i64 elapsed = now - s.clock;
        if (!elapsed) return;
        const bool begins = !s.clock;
        s.clock = now;
        if (begins) return;
        const double decay_1 = decay(0, elapsed), decay_5 = decay(1, elapsed);
        const double decay_60 = decay(2, elapsed);
        if (s.trades > 0) {
            s.weight_60 = 1.0 - (1.0 - s.weight_60) * decay_60;
            s.variance_sum *= decay_60;
            s.slow *= decay_60;
            s.fast *= decay_1;
            s.buy *= decay_5;
            s.sell *= decay_5;
            const i64 bucket = now / 250, passed = bucket - s.bucket;
            if (passed > 0) {
                for (i64 back = 0; back < std::min<i64>(passed, 64); ++back)
                    s.grid[(bucket - back) & 63] = s.last;
                s.bucket = bucket;
                s.buckets = std::min<i64>(s.buckets + passed, 64);
            }
            if (s.bar_tick && now / 1000 > s.bar_second) close_bar(s);
        }
        s.ofi *= decay_5;
        s.ofi_gross *= decay_5;
        if (s.bid) {
            const double weight = 1.0 - (1.0 - s.spread_weight) * decay_60;
            const double gain = (1.0 - decay_60) / weight;
            const double difference = (s.ask - s.bid) - s.spread_mean;
            s.spread_mean += gain * difference;
            s.spread_variance =
                (1.0 - gain) * (s.spread_variance + gain * difference * difference);
            s.spread_weight = weight;
        }
    }
    void trade(Symbol& s, i64 tick, i64 lot, bool is_sell) {
        if (!s.trades) {
            s.ema_fast = s.ema_slow = tick;
            s.bucket = s.clock / 250;
            s.buckets = 1;
        } else {
            const double change = double(tick - s.last) / s.last;
            s.variance_sum += change * change / 60.0;
            s.ema_fast += set.ema_fast_gain * (tick - s.ema_fast);
            s.ema_slow += set.ema_slow_gain * (tick - s.ema_slow);
        }
        s.trade_tick[s.trades & 3] = tick;
        s.trade_ms[s.trades & 3] = s.clock;
        ++s.trades;
        s.last = s.grid[s.bucket & 63] = tick;
        const i64 second = s.clock / 1000;
        if (!s.bar_tick) {
            if (second - s.bar_second > 60) s.bars = s.divergence = 0;
            s.bar_second = second;
        }
        s.bar_tick = tick;
        (is_sell ? s.sell : s.buy) += lot;
        s.fast += lot;
        s.slow += lot;
    }
    void best(Symbol& s, i64 bid, i64 bid_lot, i64 ask, i64 ask_lot) {
        if (s.bid) {
            const i64 flow = (bid >= s.bid ? bid_lot : 0) - (bid <= s.bid ? s.bid_lot : 0) -
                             (ask <= s.ask ? ask_lot : 0) + (ask >= s.ask ? s.ask_lot : 0);
            s.ofi += flow;
            s.ofi_gross += std::abs(flow);
        }
        s.bid = bid, s.bid_lot = bid_lot, s.ask = ask, s.ask_lot = ask_lot;
        ++s.quotes;
    }
    void depth(Symbol& s, const Book& book) {
        const i64 wanted = set.book_levels;
        Level pairs[2][20];
        i64 counts[2];
        double liquidity[2] = {}, pressure[2] = {};
        for (int side = 0; side < 2; ++side) {
            counts[side] = book.best_levels(side, wanted, pairs[side]);
            for (i64 k = 0; k < counts[side]; ++k) {
                liquidity[side] += pairs[side][k].lot;
                pressure[side] += double(wanted - k) * pairs[side][k].lot;
            }
        }
        s.bid_liquidity = liquidity[0], s.ask_liquidity = liquidity[1];
        s.bid_pressure = pressure[0], s.ask_pressure = pressure[1];
        s.has_imbalance = 0;
        s.imbalance = 0.0;
        if (!counts[0] || !counts[1]) return;
        s.has_imbalance = 1;
        s.imbalance = (pressure[0] - pressure[1]) / (pressure[0] + pressure[1]);
        if (s.clock - s.quote_ms < 1000) return;
        if (!is_near(s, pairs[0][0].tick, pairs[1][0].tick))
            s.bid = s.bid_lot = s.ask = s.ask_lot = 0;
        else
            best(s, pairs[0][0].tick, pairs[0][0].lot, pairs[1][0].tick, pairs[1][0].lot);
    }
    void note(Symbol& s, int factor, double score) {
        s.scores[factor] = score;
        s.known |= 1 << factor;
    }
#include "engine_signals.cpp"
};

}  // namespace

extern "C" {
i64 twin_new(i64 settings, i64 symbol_count, i64 limits) {
    return reinterpret_cast<i64>(new Engine(*reinterpret_cast<const parameters*>(settings),
                                            reinterpret_cast<const thresholds*>(limits),
                                            symbol_count));
}
i64 twin_delete(i64 engine) {
    delete reinterpret_cast<Engine*>(engine);
    return 0;
}
i64 twin_process_many(i64 address, i64 events, i64 count, i64 signals, i64 capacity) {
    Engine& engine = *reinterpret_cast<Engine*>(address);
    const auto* source = reinterpret_cast<const market_event*>(events);
    auto* out = reinterpret_cast<signal_record*>(signals);
    i64 written = 0;
    for (i64 index = 0; index < count; ++index) {
        ++engine.counters.events;
        if (!engine.take(source[index])) continue;
        ++engine.signal_id;
        ++engine.counters.signals;
        if (written < capacity) engine.fill(source[index], out[written]);
        ++written;
    }
    return written;
}
i64 twin_evaluations(i64 engine) {
    return reinterpret_cast<Engine*>(engine)->counters.evaluations;
}
i64 twin_book_new() { return reinterpret_cast<i64>(new Book()); }
i64 twin_book_delete(i64 address) {
    delete reinterpret_cast<Book*>(address);
    return 0;
}
// Each step is side, price, quantity; the best levels of its side are read after it and folded.
i64 twin_book_steps(i64 address, i64 steps, i64 count, i64 levels) {
    Book& book = *reinterpret_cast<Book*>(address);
    const i64* step = reinterpret_cast<const i64*>(steps);
    Level found[2][20];
    i64 answer = 0, known[2] = {};
    for (i64 index = 0; index < count; ++index, step += 3) {
        const i64 side = step[0], tick = step[1];
        book.apply(side, tick, step[2]);
        if (!levels) continue;
        const bool is_worse = known[side] == levels &&
                              (tick - found[side][levels - 1].tick) * book.sides[side].direction > 0;
        if (!is_worse) known[side] = book.best_levels(side, levels, found[side]);
        for (i64 k = 0; k < known[side]; ++k)
            answer += found[side][k].tick ^ found[side][k].lot << k;
    }
    return answer;
}
}
