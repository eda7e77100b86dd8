"""The memory layout of an object pool: control words, then links, then the objects.

A pool holds objects of one size, made once. The free ones form a list: `head` names the first,
`link[i]` the one after object i. `head` packs an index and a tag into one word, so that one
compare-and-swap moves both:

    bits 0..23    index of the first free object + 1; 0 = none is free
    bits 24..63   tag, counted up by every take, wrapping

The links stand apart from the objects: whoever writes into an object it has given back damages
that object, never the list. The algorithm is in pools.py.
"""

from __future__ import annotations

from shm.fields import CACHE_LINE, CACHE_LINE_PAIR, Field, Record

INDEX_BITS = 24
INDEX_MASK = (1 << INDEX_BITS) - 1
TAG_ONE = 1 << INDEX_BITS
OBJECT_COUNT_MAX = INDEX_MASK - 1
# What the link of a taken object holds; a free one holds index + 1 of its successor, or 0.
TAKEN = -1

POOL = Record(
    "pool",
    "Control words of an object pool; the links follow at the end of this record.",
    [
        Field("object_count", "i64", "objects", "creator", "objects in all"),
        Field("object_shift", "i64", "bits", "creator", "log2 of the bytes of one object"),
        Field("links_offset", "i64", "bytes", "creator", "from this record to the links"),
        Field("objects_offset", "i64", "bytes", "creator", "from this record to object 0"),
        Field("head", "i64", "tag, index + 1", "all", "first free object", align=CACHE_LINE_PAIR),
        # Counted only where something went wrong, so the line is quiet in the common case.
        Field("exhausted", "i64", "count", "all", "takes that found none", align=CACHE_LINE_PAIR),
        Field("refused", "i64", "count", "all", "gives of an address that was not taken"),
    ],
    align=CACHE_LINE_PAIR,
)

LINKS_OFFSET = POOL.size
assert POOL.offset("head") % CACHE_LINE_PAIR == 0
assert LINKS_OFFSET % CACHE_LINE == 0


def pool_size(object_count: int, object_size: int) -> int:
    """Return the bytes a pool takes.

    Args:
        object_count: 1..OBJECT_COUNT_MAX.
        object_size: bytes, a power of two of at least one cache line, so that an object never
            straddles a page and its index is a shift.

    Raises:
        ValueError: one of them is out of range; the message holds it.
    """
    if not 1 <= object_count <= OBJECT_COUNT_MAX:
        raise ValueError(f"object_count must be 1..{OBJECT_COUNT_MAX}: object_count={object_count}")
    if object_size < CACHE_LINE or object_size & (object_size - 1):
        raise ValueError(
            f"object size must be a power of two of at least {CACHE_LINE}: "
            f"object_size={object_size}"
        )
    return objects_offset(object_count) + object_count * object_size


def objects_offset(object_count: int) -> int:
    """Return the bytes from the control words to object 0: whole cache lines."""
    return LINKS_OFFSET + -(-object_count * 8 // CACHE_LINE) * CACHE_LINE


def format_pool(address: int, object_count: int, object_size: int) -> None:
    """Write a pool whose objects are all free; the objects themselves are left as they are.

    Args:
        address: cache-line aligned memory of `pool_size` bytes.
        object_count: objects in all.
        object_size: bytes of one.

    Raises:
        ValueError: as `pool_size`; an unaligned address.
    """
    import ctypes

    pool_size(object_count, object_size)
    if address % CACHE_LINE:
        raise ValueError(f"a pool must be cache-line aligned: address={address:#x}")
    pool = POOL.at(address)
    pool.object_count = object_count
    pool.object_shift = object_size.bit_length() - 1
    pool.links_offset = LINKS_OFFSET
    pool.objects_offset = objects_offset(object_count)
    pool.exhausted = pool.refused = 0
    links = (ctypes.c_int64 * object_count).from_address(address + LINKS_OFFSET)
    for index in range(object_count):
        links[index] = index + 2 if index + 1 < object_count else 0
    pool.head = 1


def free_indices(address: int) -> list[int]:
    """Return the indices on the free list, first to be taken first; only while nobody works on it.

    Raises:
        ValueError: the list runs in a circle or leaves the pool: memory was overwritten.
    """
    import ctypes

    pool = POOL.at(address)
    links = (ctypes.c_int64 * pool.object_count).from_address(address + pool.links_offset)
    found: list[int] = []
    place = pool.head & INDEX_MASK
    while place:
        if len(found) >= pool.object_count or not 1 <= place <= pool.object_count:
            raise ValueError(f"free list is damaged: place={place} found={len(found)}")
        found.append(place - 1)
        place = links[place - 1]
    return found
