"""Typed views: kernels read and write records like objects, over one int64 address.

    event = MARKET_EVENT_VIEW(address)      # no copy, no reference counting
    event.price_tick += 1                   # a load and a store at a constant offset
    state.window[i & 63] = x                # array fields

A view is generated from a `Record`, so no kernel knows an offset. Outside numba the same
expression yields the record's ctypes structure: a kernel runs uncompiled on the same memory.
Fields are addressed as base pointer plus constant (an LLVM `getelementptr`), which lets the
compiler see that two fields do not overlap.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
    signature,
)
from numba.extending import (
    lower_builtin,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    register_model,
)

from shm.fields import Field, Record
from shm.memory import (
    BYTE_POINTER,
    INT64,
    LLVM_TYPES,
    define,
    load_scalar,
    numba_type,
    store_scalar,
)


class ViewType(types.Type):
    """The numba type of a view over one record layout."""

    def __init__(self, record: Record) -> None:
        self.record = record
        super().__init__(name=f"View({record.name}:{record.layout_hash:016x})")

    def __reduce__(self) -> tuple[Callable[[str], ViewType], tuple[str]]:
        """Pickle the name alone, for numba's disk cache: a record has no pickle."""
        return _view_type, (self.name,)


_VIEW_TYPES: dict[str, ViewType] = {}


def _view_type(name: str) -> ViewType:
    """Return the type of a view that this process has made already, by its name."""
    return _VIEW_TYPES[name]


class ArrayFieldType(types.Type):
    """The numba type of an array field: the address of its first item."""

    def __init__(self, scalar: str) -> None:
        self.scalar = scalar
        super().__init__(name=f"ArrayField({scalar})")


@register_model(ViewType)
@register_model(ArrayFieldType)
class AddressModel(models.PrimitiveModel):
    """Both are one int64 in registers: they cross a C boundary as plain addresses."""

    def __init__(self, manager: Any, frontend_type: Any) -> None:
        super().__init__(manager, frontend_type, INT64)


_VIEWS: dict[int, Callable[[int], Any]] = {}


def view_of(record: Record) -> Callable[[int], Any]:
    """Return the view of a record: a function of an address, known to numba.

    The same record gives the same view.
    """
    if id(record) in _VIEWS:
        return _VIEWS[id(record)]
    structure = record.structure

    def view(address: int) -> Any:
        return structure.from_address(address)

    view.__name__ = view.__qualname__ = f"view_{record.name}"
    kind = ViewType(record)
    _VIEW_TYPES[kind.name] = kind
    define(view, kind, (types.int64,), lambda context, builder, values: values[0])
    _VIEWS[id(record)] = view
    return view


def _field(kind: ViewType, name: str) -> Field | None:
    return kind.record.by_name.get(name)


@infer_getattr
class ViewAttributes(AttributeTemplate):
    """Types `view.field`."""

    key = ViewType

    def generic_resolve(self, kind: Any, name: str) -> Any:  # type: ignore[override]
        """Return int64, float64 or an array field; None for an unknown name."""
        field = _field(kind, name)
        if field is None:
            return None
        return ArrayFieldType(field.type) if field.count > 1 else numba_type(field.type)


def _place(builder: Any, base: Any, offset: int, scalar: str) -> Any:
    start = builder.inttoptr(base, BYTE_POINTER)
    place = builder.gep(start, [ir.Constant(INT64, offset)], inbounds=True)
    return builder.bitcast(place, LLVM_TYPES[scalar].as_pointer())


@lower_getattr_generic(ViewType)
def _get_field(context: Any, builder: Any, kind: ViewType, value: Any, name: str) -> Any:
    field = kind.record.by_name[name]
    offset = kind.record.offset(name)
    if field.count > 1:
        return builder.add(value, ir.Constant(INT64, offset))
    return load_scalar(builder, _place(builder, value, offset, field.type), field.type)


@lower_setattr_generic(ViewType)
def _set_field(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    kind = sig.args[0]
    field = kind.record.by_name[name]
    assert field.count == 1, f"array fields are set item by item: {name}"
    value = context.cast(builder, args[1], sig.args[1], numba_type(field.type))
    place = _place(builder, args[0], kind.record.offset(name), field.type)
    store_scalar(builder, place, field.type, value)


@infer_global(operator.getitem)
class ArrayFieldGet(AbstractTemplate):
    """Types `view.array[i]`."""

    def generic(self, args: Any, kws: Any) -> Any:
        """Resolve an integer index; negative indices are not wrapped."""
        if isinstance(args[0], ArrayFieldType) and isinstance(args[1], types.Integer):
            return signature(numba_type(args[0].scalar), args[0], types.int64)
        return None


@infer_global(operator.setitem)
class ArrayFieldSet(AbstractTemplate):
    """Types `view.array[i] = x`."""

    def generic(self, args: Any, kws: Any) -> Any:
        """Resolve an integer index."""
        if isinstance(args[0], ArrayFieldType) and isinstance(args[1], types.Integer):
            return signature(types.none, args[0], types.int64, numba_type(args[0].scalar))
        return None


def _item(builder: Any, base: Any, index: Any, scalar: str) -> Any:
    start = builder.inttoptr(base, LLVM_TYPES[scalar].as_pointer())
    return builder.gep(start, [index], inbounds=True)


@lower_builtin(operator.getitem, ArrayFieldType, types.Integer)
def _get_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    scalar = sig.args[0].scalar
    return load_scalar(builder, _item(builder, args[0], args[1], scalar), scalar)


@lower_builtin(operator.setitem, ArrayFieldType, types.Integer, types.Any)
def _set_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    scalar = sig.args[0].scalar
    store_scalar(builder, _item(builder, args[0], args[1], scalar), scalar, args[2])
    return context.get_dummy_value()


def address_of(view: Any) -> int:
    """Return the address a view stands on (an int64 inside kernels)."""
    return ctypes.addressof(view)


@infer_global(address_of)
class AddressOf(AbstractTemplate):
    """Types `address_of(view)`."""

    def generic(self, args: Any, kws: Any) -> Any:
        """Resolve a view or an array field."""
        if len(args) == 1 and isinstance(args[0], (ViewType, ArrayFieldType)):
            return signature(types.int64, args[0])
        return None


@lower_builtin(address_of, ViewType)
@lower_builtin(address_of, ArrayFieldType)
def _code_address_of(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]
