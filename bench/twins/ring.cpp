// The rings of shm/rings.py once more in C++: same memory, same algorithm, same orders.
//
// Offsets come from the field table as macros, so that both sides work on one layout. The loops are
// those of bench/ring_kernels.py, function by function.

#include <cstdint>
#include <ctime>
#include <immintrin.h>

using i64 = int64_t;
using u64 = uint64_t;

namespace {

inline i64& word(i64 address) { return *reinterpret_cast<i64*>(address); }
inline i64 load_acquire(i64 a) { return __atomic_load_n(&word(a), __ATOMIC_ACQUIRE); }
inline i64 load_relaxed(i64 a) { return __atomic_load_n(&word(a), __ATOMIC_RELAXED); }
inline void store_release(i64 a, i64 v) { __atomic_store_n(&word(a), v, __ATOMIC_RELEASE); }
inline void store_relaxed(i64 a, i64 v) { __atomic_store_n(&word(a), v, __ATOMIC_RELAXED); }

inline i64 head_address(i64 ring, i64 cursor) { return ring + HEAD + cursor * HEAD_STRIDE; }

__attribute__((noinline)) bool has_room(i64 ring, i64 tail) {
    i64 slowest = tail;
    for (i64 cursor = 0; cursor < word(ring + CURSOR_COUNT); ++cursor) {
        const i64 head = load_acquire(head_address(ring, cursor));
        if (tail - head > tail - slowest) slowest = head;
    }
    word(ring + GATE) = slowest;
    return tail - slowest <= word(ring + MASK);
}

inline i64 claim(i64 ring) {
    const i64 tail = load_relaxed(ring + TAIL);
    if (tail - word(ring + GATE) > word(ring + MASK) && !has_room(ring, tail)) return 0;
    return ring + SLOTS + (tail & word(ring + MASK)) * word(ring + PRODUCER_SLOT_SIZE);
}

inline i64 claim_broadcast(i64 ring) {
    const i64 tail = load_relaxed(ring + TAIL);
    const i64 size = word(ring + PRODUCER_SLOT_SIZE);
    const i64 slot = ring + SLOTS + (tail & word(ring + MASK)) * size;
    store_relaxed(slot + size - 8, tail);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return slot;
}

inline void publish(i64 ring, i64 slot) {
    const i64 tail = load_relaxed(ring + TAIL);
    store_release(slot + word(ring + PRODUCER_SLOT_SIZE) - 8, tail + 1);
    store_release(ring + TAIL, tail + 1);
}

inline i64 peek(i64 ring, i64 cursor) {
    const i64 head = load_relaxed(head_address(ring, cursor));
    const i64 size = word(ring + SLOT_SIZE);
    const i64 slot = ring + SLOTS + (head & word(ring + MASK)) * size;
    return load_acquire(slot + size - 8) == head + 1 ? slot : 0;
}

inline void advance(i64 ring, i64 cursor) {
    const i64 place = head_address(ring, cursor);
    store_release(place, load_relaxed(place) + 1);
}

inline i64 read_broadcast(i64 ring, i64 position, i64 target) {
    const i64 size = word(ring + SLOT_SIZE);
    const i64 slot = ring + SLOTS + (position & word(ring + MASK)) * size;
    const i64 last = size - 8;
    const i64 ahead = load_acquire(slot + last) - (position + 1);
    if (ahead != 0) return ahead > 0 ? -1 : 0;
    for (i64 offset = 0; offset < 56; offset += 8)
        store_relaxed(target + offset, load_relaxed(slot + offset));
    for (i64 offset = 56; offset < last; offset += 8)
        store_relaxed(target + offset, load_relaxed(slot + offset));
    store_relaxed(target + last, position + 1);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return load_relaxed(slot + last) == position + 1 ? 1 : -1;
}

inline void fill(i64 slot, i64 first) {
    for (i64 k = 0; k < 7; ++k) word(slot + 8 * k) = first + k;
}

inline i64 sum_of(i64 slot) {
    i64 sum = 0;
    for (i64 k = 0; k < 7; ++k) sum += word(slot + 8 * k);
    return sum;
}

inline i64 claim_waiting(i64 ring, i64 limit) {
    for (i64 spins = 0; spins < limit; ++spins) {
        if (const i64 slot = claim(ring)) return slot;
        _mm_pause();
    }
    return 0;
}

inline i64 peek_waiting(i64 ring, i64 limit) {
    for (i64 spins = 0; spins < limit; ++spins) {
        if (const i64 slot = peek(ring, 0)) return slot;
        _mm_pause();
    }
    return 0;
}

inline i64 ticks() { return static_cast<i64>(__rdtsc()); }

inline i64 mono_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

}  // namespace

extern "C" {

i64 gated_same_thread(i64 ring, i64 n) {
    i64 sum = 0;
    for (i64 i = 0; i < n; ++i) {
        const i64 slot = claim(ring);
        if (slot == 0) return -1;
        fill(slot, i);
        publish(ring, slot);
        const i64 got = peek(ring, 0);
        if (got == 0) return -1;
        sum += sum_of(got);
        advance(ring, 0);
    }
    return sum;
}

i64 broadcast_same_thread(i64 ring, i64 n, i64 target) {
    const i64 start = load_acquire(ring + TAIL);
    i64 sum = 0;
    for (i64 i = 0; i < n; ++i) {
        const i64 slot = claim_broadcast(ring);
        fill(slot, i);
        publish(ring, slot);
        if (read_broadcast(ring, start + i, target) != 1) return -1;
        sum += sum_of(target);
    }
    return sum;
}

i64 ping(i64 out, i64 back, i64 n, i64 samples, i64 limit) {
    i64 sum = 0;
    for (i64 i = 0; i < n; ++i) {
        const i64 started = ticks();
        const i64 slot = claim_waiting(out, limit);
        if (slot == 0) return -1;
        fill(slot, i);
        publish(out, slot);
        const i64 got = peek_waiting(back, limit);
        if (got == 0) return -1;
        sum += sum_of(got);
        advance(back, 0);
        word(samples + 8 * i) = ticks() - started;
    }
    return sum;
}

i64 pong(i64 in, i64 back, i64 n, i64 limit) {
    i64 sum = 0;
    for (i64 i = 0; i < n; ++i) {
        const i64 got = peek_waiting(in, limit);
        if (got == 0) return -1;
        const i64 slot = claim_waiting(back, limit);
        if (slot == 0) return -1;
        sum += sum_of(got);
        for (i64 k = 0; k < 7; ++k) word(slot + 8 * k) = word(got + 8 * k);
        publish(back, slot);
        advance(in, 0);
    }
    return sum;
}

i64 produce(i64 ring, i64 n, i64 limit) {
    for (i64 i = 0; i < n; ++i) {
        const i64 slot = claim_waiting(ring, limit);
        if (slot == 0) return -1;
        fill(slot, i);
        publish(ring, slot);
    }
    return 0;
}

i64 consume(i64 ring, i64 n, i64 elapsed, i64 limit) {
    i64 sum = 0, started = 0;
    for (i64 i = 0; i < n; ++i) {
        const i64 got = peek_waiting(ring, limit);
        if (got == 0 || word(got) != i) return -1;
        if (i == 0) started = mono_ns();
        sum += sum_of(got);
        advance(ring, 0);
    }
    word(elapsed) = mono_ns() - started;
    return sum;
}

i64 send_scheduled(i64 ring, i64 n, i64 period, i64 limit) {
    const i64 first = ticks() + period;
    for (i64 i = 0; i < n; ++i) {
        const i64 due = first + i * period;
        while (ticks() < due) _mm_pause();
        const i64 slot = claim_waiting(ring, limit);
        if (slot == 0) return -1;
        fill(slot, i);
        word(slot + 8) = due;
        publish(ring, slot);
    }
    return 0;
}

i64 receive_scheduled(i64 ring, i64 n, i64 samples, i64 limit) {
    i64 sum = 0;
    for (i64 i = 0; i < n; ++i) {
        const i64 got = peek_waiting(ring, limit);
        if (got == 0 || word(got) != i) return -1;
        word(samples + 8 * i) = ticks() - word(got + 8);
        sum += sum_of(got) - word(got + 8);
        advance(ring, 0);
    }
    return sum;
}

}  // extern "C"
