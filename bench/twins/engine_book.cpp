// The book of engine/book.py, far_table.py and book_window.py once more in C++, on memory of its own.
// Included by engine.cpp.

#include <algorithm>
#include <cstdint>
#include <cstring>

using i64 = int64_t;
using u64 = uint64_t;

namespace book {

constexpr i64 WINDOW = 16384, WORDS = WINDOW / 64, GROUPS = WORDS / 64;
constexpr i64 FAR_SLOTS = 8192, FAR_MAX = FAR_SLOTS - FAR_SLOTS / 8, FAR_MASK = FAR_SLOTS - 1;
enum State { INVALID, BUILDING, VALID };
enum Settled { SETTLED, CROSSED, LOSSY };

struct Level {
    i64 tick, lot;
};

struct Side {
    i64 direction = 1, first = WINDOW, best = 0, count = 0, far_count = 0, better = 0;
    u64 groups[GROUPS] = {}, words[WORDS] = {};
    i64 lots[WINDOW] = {}, far_ticks[FAR_SLOTS] = {}, far_lots[FAR_SLOTS] = {};

    i64 index_of(i64 base, i64 tick) const {
        return direction > 0 ? tick - base : WINDOW - 1 - (tick - base);
    }
    i64 tick_of(i64 base, i64 index) const {
        return base + (direction > 0 ? index : WINDOW - 1 - index);
    }
    i64 next(i64 start) const {
        if (start >= WINDOW) return WINDOW;
        i64 word = start >> 6;
        u64 bits = words[word] >> (start & 63);
        if (bits) return start + __builtin_ctzll(bits);
        if (++word >= WORDS) return WINDOW;
        i64 group = word >> 6;
        bits = groups[group] >> (word & 63) << (word & 63);
        while (!bits) {
            if (++group >= GROUPS) return WINDOW;
            bits = groups[group];
        }
        word = (group << 6) + __builtin_ctzll(bits);
        return (word << 6) + __builtin_ctzll(words[word]);
    }
    void put(i64 index, i64 lot) {
        lots[index] = lot;
        words[index >> 6] |= 1ull << (index & 63);
        groups[index >> 12] |= 1ull << ((index >> 6) & 63);
        ++count;
    }
    void take(i64 index) {
        lots[index] = 0;
        if (!(words[index >> 6] &= ~(1ull << (index & 63))))
            groups[index >> 12] &= ~(1ull << ((index >> 6) & 63));
        --count;
    }
    static i64 home(i64 tick) {
        const u64 mixed = (u64(tick) ^ (u64(tick) >> 32)) & 0xFFFFFFFFu;
        return i64((mixed * 2654435769u & 0xFFFFFFFFu) >> 19);
    }
    i64 slot_of(i64 tick) const {
        i64 slot = home(tick);
        while (far_ticks[slot] && far_ticks[slot] != tick) slot = (slot + 1) & FAR_MASK;
        return slot;
    }
    void free_slot(i64 hole) {
        for (i64 probe = (hole + 1) & FAR_MASK; far_ticks[probe]; probe = (probe + 1) & FAR_MASK)
            if (((probe - home(far_ticks[probe])) & FAR_MASK) >= ((probe - hole) & FAR_MASK)) {
                far_ticks[hole] = far_ticks[probe];
                far_lots[hole] = far_lots[probe];
                hole = probe;
            }
        far_ticks[hole] = far_lots[hole] = 0;
    }
    i64 far_next(i64 tick) const {
        i64 found = 0;
        if (!far_count) return 0;
        for (const i64 candidate : far_ticks) {
            if (!candidate || (tick && (candidate - tick) * direction <= 0)) continue;
            if (!found || (candidate - found) * direction < 0) found = candidate;
        }
        return found;
    }
    void note(i64 base, i64 tick, i64 amount) {
        far_count += amount;
        if (index_of(base, tick) < 0) better += amount;
    }
    void find_best(i64 base) {
        best = !better && first < WINDOW ? tick_of(base, first) : far_next(0);
    }
    void note_new(i64 tick) {
        if (!best || (tick - best) * direction < 0) best = tick;
    }
};

struct Book {
    i64 state = INVALID, base = 0, crossed_run = 0, lossy = 0, far_lost = 0, recentres = 0;
    Side sides[2];

    Book() { sides[0].direction = -1; }

    bool far_set(Side& side, i64 tick, i64 lot) {
        const i64 slot = side.slot_of(tick);
        const bool exists = side.far_ticks[slot] == tick;
        if (!lot) {
            if (exists) side.note(base, tick, -1), side.free_slot(slot);
            return true;
        }
        if (!exists) {
            if (side.far_count >= FAR_MAX) {
                ++far_lost;
                lossy = 1;
                return false;
            }
            side.note(base, tick, 1);
            side.far_ticks[slot] = tick;
        }
        side.far_lots[slot] = lot;
        return true;
    }
    bool apply(i64 is_ask, i64 tick, i64 lot) {
        if (!base) base = std::max<i64>(tick - WINDOW / 2, 1);
        Side& side = sides[is_ask];
        const i64 index = side.index_of(base, tick);
        if (index < 0 || index >= WINDOW) {
            const bool kept = far_set(side, tick, lot);
            if (kept && lot)
                side.note_new(tick);
            else if (tick == side.best)
                side.find_best(base);
            return true;
        }
        const i64 before = side.lots[index];
        if (lot) {
            if (before) {
                side.lots[index] = lot;
                return false;
            }
            side.put(index, lot);
            if (index < side.first) {
                side.first = index;
                side.note_new(tick);
            }
        } else if (before) {
            side.take(index);
            if (index == side.first) {
                side.first = side.next(index + 1);
                if (tick == side.best) side.find_best(base);
            }
        }
        return false;
    }
    i64 quantity(i64 is_ask, i64 tick) const {
        const Side& side = sides[is_ask];
        const i64 index = side.index_of(base, tick);
        if (index >= 0 && index < WINDOW) return side.lots[index];
        const i64 slot = side.slot_of(tick);
        return side.far_ticks[slot] == tick ? side.far_lots[slot] : 0;
    }
    i64 best_levels(i64 is_ask, i64 wanted, Level* out) const {
        const Side& side = sides[is_ask];
        i64 written = 0;
        if (side.better)
            for (i64 tick = side.far_next(0);
                 tick && written < wanted && side.index_of(base, tick) < 0;
                 tick = side.far_next(tick))
                out[written++] = {tick, side.far_lots[side.slot_of(tick)]};
        for (i64 index = side.first; index < WINDOW && written < wanted; index = side.next(index + 1))
            out[written++] = {side.tick_of(base, index), side.lots[index]};
        if (written < wanted && side.far_count > side.better)
            for (i64 tick = side.far_next(side.tick_of(base, WINDOW - 1)); tick && written < wanted;
                 tick = side.far_next(tick))
                out[written++] = {tick, side.far_lots[side.slot_of(tick)]};
        return written;
    }
    void clear() {
        for (Side& side : sides) {
            for (i64 index = side.next(0); index < WINDOW; index = side.next(index + 1))
                side.take(index);
            if (side.far_count) {
                std::memset(side.far_ticks, 0, sizeof side.far_ticks);
                std::memset(side.far_lots, 0, sizeof side.far_lots);
            }
            side.far_count = side.better = side.best = 0;
            side.first = WINDOW;
        }
        base = crossed_run = lossy = 0;
    }
    void move_levels(Side& side, i64 old_base) {
        const i64 shift = (old_base - base) * side.direction;
        for (i64 step = 0; step < WORDS; ++step) {
            const i64 word = shift < 0 ? step : WORDS - 1 - step;
            for (u64 bits = side.words[word]; bits;) {
                const i64 bit = shift < 0 ? __builtin_ctzll(bits) : 63 - __builtin_clzll(bits);
                bits &= ~(1ull << bit);
                const i64 index = (word << 6) + bit, lot = side.lots[index], moved = index + shift;
                side.take(index);
                if (0 <= moved && moved < WINDOW)
                    side.put(moved, lot);
                else
                    far_set(side, side.tick_of(old_base, index), lot);
            }
        }
    }
    void recentre(i64 middle) {
        const i64 old_base = base;
        base = std::max<i64>(middle - WINDOW / 2, 1);
        for (Side& side : sides) {
            side.better = 0;
            for (const i64 tick : side.far_ticks)
                if (tick && side.index_of(base, tick) < 0) ++side.better;
            move_levels(side, old_base);
            for (i64 slot = 0; slot < FAR_SLOTS && side.far_count;) {
                const i64 tick = side.far_ticks[slot], index = side.index_of(base, tick);
                if (tick && 0 <= index && index < WINDOW) {
                    side.put(index, side.far_lots[slot]);
                    --side.far_count;
                    side.free_slot(slot);
                } else {
                    ++slot;
                }
            }
            side.first = side.next(0);
            side.find_best(base);
        }
        ++recentres;
    }
    Settled settle() {
        const i64 bid = sides[0].best, ask = sides[1].best;
        i64 middle = ask ? ask : bid;
        if (bid && ask) middle = std::abs(ask - bid) < WINDOW / 4 ? (bid + ask) >> 1 : bid;
        if (middle) {
            const i64 distance = middle - base;
            if ((distance < WINDOW / 4 || distance >= WINDOW - WINDOW / 4) &&
                std::max<i64>(middle - WINDOW / 2, 1) != base) {
                if (lossy) return LOSSY;
                recentre(middle);
            }
        }
        if (bid && ask && bid >= ask) {
            ++crossed_run;
            return CROSSED;
        }
        crossed_run = 0;
        return SETTLED;
    }
};

}  // namespace book
