// A matching book once more in C++: pools, a queue per price, sorted prices with the best last.
//
// The loop is that of bench/matching_kernels.py, and so is the fold over every answer.

#include <algorithm>
#include <cstdint>
#include <vector>

using i64 = int64_t;

namespace {

enum Status : i64 { RESTS = 1, FILLED = 2, EXPIRED = 3, DONE = 5, UNKNOWN = -6 };
constexpr i64 BUY = 1, GTC = 0;
constexpr i64 FOLD_MASK = (i64{1} << 55) - 1;

inline i64 fold(i64 answer, i64 value) { return (answer * 31 + value) & FOLD_MASK; }

struct Order { i64 id, owner, side, price, remaining, previous, following, level; };
struct Level { i64 price, head, tail, total, count; };
struct Event { i64 slot, price, lot, left; };
struct Change { i64 side, price, total; };
struct Rank { i64 key, level; };

struct Book {
    std::vector<Order> orders;
    std::vector<Level> levels;
    std::vector<i64> free_orders, free_levels;
    std::vector<Rank> sides[2];
    std::vector<Event> events;
    std::vector<Change> changes;
    i64 slot = -1, remaining = 0;
    i64 best[2] = {0, 0}, best_lot[2] = {0, 0};

    Book(i64 order_capacity, i64 level_capacity) {
        orders.resize(order_capacity);
        levels.resize(level_capacity);
        for (i64 k = order_capacity; k-- > 0;) { orders[k].level = -1; free_orders.push_back(k); }
        for (i64 k = level_capacity; k-- > 0;) free_levels.push_back(k);
        for (auto& side : sides) side.reserve(level_capacity);
        events.reserve(order_capacity);
        changes.reserve(level_capacity + 2);
    }

    std::vector<Rank>& side_of(i64 side) { return sides[side == BUY ? 0 : 1]; }

    static auto find(std::vector<Rank>& ranks, i64 key) {
        return std::lower_bound(ranks.begin(), ranks.end(), key,
                                [](const Rank& rank, i64 wanted) { return rank.key < wanted; });
    }

    i64 ensure_level(i64 side, i64 price) {
        auto& ranks = side_of(side);
        const auto place = find(ranks, side * price);
        if (place != ranks.end() && place->key == side * price) return place->level;
        const i64 slot = free_levels.back();
        free_levels.pop_back();
        levels[slot] = {price, -1, -1, 0, 0};
        ranks.insert(place, {side * price, slot});
        return slot;
    }

    void drop_level(i64 side, i64 slot) {
        auto& ranks = side_of(side);
        ranks.erase(find(ranks, side * levels[slot].price));
        free_levels.push_back(slot);
    }

    void unlink(i64 slot) {
        Order& order = orders[slot];
        Level& level = levels[order.level];
        (order.previous >= 0 ? orders[order.previous].following : level.head) = order.following;
        (order.following >= 0 ? orders[order.following].previous : level.tail) = order.previous;
        --level.count;
        level.total -= order.remaining;
        order.level = -1;
        free_orders.push_back(slot);
    }

    void append(i64 id, i64 owner, i64 side, i64 price, i64 lot) {
        slot = free_orders.back();
        free_orders.pop_back();
        const i64 place = ensure_level(side, price);
        Level& level = levels[place];
        orders[slot] = {id, owner, side, price, lot, level.tail, -1, place};
        (level.tail >= 0 ? orders[level.tail].following : level.head) = slot;
        level.tail = slot;
        ++level.count;
        level.total += lot;
        changes.push_back({side, price, level.total});
    }

    void begin() {
        slot = -1;
        remaining = 0;
        events.clear();
        changes.clear();
    }

    void refresh_best() {
        for (int side = 0; side < 2; ++side) {
            best[side] = best_lot[side] = 0;
            if (sides[side].empty()) continue;
            const Level& level = levels[sides[side].back().level];
            best[side] = level.price;
            best_lot[side] = level.total;
        }
    }

    Status submit(i64 id, i64 owner, i64 side, i64 price, i64 lot, i64 how) {
        begin();
        auto& ranks = side_of(-side);
        while (lot > 0 && !ranks.empty()) {
            const i64 place = ranks.back().level;
            Level& level = levels[place];
            if (price != 0 && (level.price - price) * side > 0) break;
            while (lot > 0 && level.count > 0) {
                Order& maker = orders[level.head];
                const i64 traded = std::min(lot, maker.remaining);
                lot -= traded;
                maker.remaining -= traded;
                level.total -= traded;
                events.push_back({level.head, level.price, traded, maker.remaining});
                if (maker.remaining == 0) unlink(level.head);
            }
            changes.push_back({-side, level.price, level.total});
            if (level.count == 0) {
                ranks.pop_back();
                free_levels.push_back(place);
            }
        }
        remaining = lot;
        Status status = lot == 0 ? FILLED : EXPIRED;
        if (lot > 0 && how == GTC) {
            append(id, owner, side, price, lot);
            status = RESTS;
        }
        refresh_best();
        return status;
    }

    Status cancel(i64 place, i64 id) {
        if (place < 0 || place >= static_cast<i64>(orders.size())) return UNKNOWN;
        const Order& order = orders[place];
        if (order.level < 0 || order.id != id) return UNKNOWN;
        begin();
        const i64 level = order.level, side = order.side;
        remaining = order.remaining;
        unlink(place);
        changes.push_back({side, order.price, levels[level].total});
        if (levels[level].count == 0) drop_level(side, level);
        refresh_best();
        return DONE;
    }
};

}  // namespace

extern "C" {

i64 matching_new(i64 order_capacity, i64 level_capacity) {
    return reinterpret_cast<i64>(new Book(order_capacity, level_capacity));
}

i64 matching_delete(i64 book) {
    delete reinterpret_cast<Book*>(book);
    return 0;
}

i64 matching_steps(i64 address, i64 steps, i64 count, i64 slots) {
    Book& book = *reinterpret_cast<Book*>(address);
    const i64* step = reinterpret_cast<const i64*>(steps);
    i64* slot_of = reinterpret_cast<i64*>(slots);
    i64 answer = 0;
    for (i64 index = 0; index < count; ++index, step += 6) {
        i64 status;
        if (step[0] == 0) {
            status = book.submit(step[1], 0, step[2], step[3], step[4], step[5]);
            slot_of[step[1]] = book.slot;
        } else {
            status = book.cancel(slot_of[step[1]], step[1]);
        }
        answer = fold(fold(answer, status), book.remaining);
        for (const Event& event : book.events)
            answer = fold(fold(fold(answer, event.price), event.lot), event.left);
    }
    return answer;
}

i64 matching_fold(i64 address, i64 answer) {
    Book& book = *reinterpret_cast<Book*>(address);
    for (const auto& side : book.sides)
        for (const Rank& rank : side) {
            const Level& level = book.levels[rank.level];
            answer = fold(fold(fold(answer, level.price), level.total), level.count);
        }
    return answer;
}

}
