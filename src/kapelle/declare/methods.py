"""Methods of services: ``@method`` and ``@batched``.

The decorated attribute is a descriptor. On a plain instance it runs the user's function right here, so that a unit test
needs no server; on a handle the gateway puts a remote call in its place. Both are awaited, and a type checker sees both
as the same signature.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import or_
from types import UnionType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, Union, cast, get_args, get_origin, overload

import numpy as np

from kapelle.declare.options import checked, duration, time_limit
from kapelle.declare.parameters import Parameter, Signature, by_position, check_type, refuse_raw, signature_of
from kapelle.errors import ContractError, DeclarationError, RowErrors
from kapelle.types.arrays import as_array, is_array_type
from kapelle.types.tensor import Tensor, without_tensor

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")
Rows = TypeVar("Rows")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Limits of one batch. ``max_wait`` (seconds) bounds how long a lone row may wait for company under load."""

    max_size: int
    max_wait: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How calls of a method may be treated.

    ``timeout`` (seconds) bounds one call beside the request's own deadline; ``idempotent`` allows a second try on
    another replica after the first died with the call in its hands; ``hedge`` (seconds) sends a second copy after that
    long.
    """

    timeout: float | None = None
    idempotent: bool = True
    hedge: float | None = None


Kind = Literal["unary", "batched", "stream"]


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """A method as data. ``function`` is the user's own, undecorated; it takes the arguments in their order."""

    name: str
    kind: Kind
    function: Callable[..., Any]
    signature: Signature
    is_async: bool
    policy: CallPolicy
    batch: BatchPolicy | None = None

    @property
    def row(self) -> Any:
        """The type of one row of a batched method's parameter."""
        annotation = self.signature.parameters[0].annotation
        return annotation if is_array_type(annotation) else get_args(annotation)[0]

    @property
    def row_tensor(self) -> Tensor | None:
        """The declared shape of one row of a batched method whose rows are arrays."""
        if self.kind != "batched":
            return None
        parameter = self.signature.parameters[0]
        return parameter.tensor.row if parameter.tensor is not None else without_tensor(self.row)[1]


class BaseMethod:
    """What all decorated methods share: the user's function and, once the class is declared, its specification."""

    def __init__(self, function: Callable[..., Any], policy: CallPolicy, batch: BatchPolicy | None = None) -> None:
        self.function = function
        self.policy = policy
        self.batch = batch
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self._spec: MethodSpec | None = None

    def spec(self) -> MethodSpec:
        """This method as data.

        Raises:
            DeclarationError: its signature cannot be served.
        """
        if self._spec is None:
            self._spec = self._read_spec()
        return self._spec

    def _read_spec(self) -> MethodSpec:
        function = self.function
        signature = signature_of(function)
        kind = _kind(function, self.batch is not None)
        if kind == "batched":
            _check_batched(function, signature)
        returns = signature.returns
        if kind == "batched":
            returns = _row_results(function, returns)
            signature = replace(signature, returns=returns)
        if get_origin(returns) in _STREAMS:
            if kind != "stream":
                raise DeclarationError(
                    f"{function.__qualname__} returns {returns!r} but is no async generator; "
                    "expected `async def` with `yield`"
                )
            returns = signature.item
        check_type(f"{function.__qualname__}: its result", returns)
        refuse_raw(function, signature.parameters, returns)
        is_async = inspect.iscoroutinefunction(function) or kind == "stream"
        ordered = by_position(function, signature)
        return MethodSpec(function.__name__, kind, ordered, signature, is_async, self.policy, self.batch)


class Method(BaseMethod, Generic[S, P, R]):
    """A method that is called and awaited."""

    @overload
    def __get__(self, instance: None, owner: type) -> Method[S, P, R]: ...
    @overload
    def __get__(self, instance: S, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: S | None, owner: type) -> Any:
        return self if instance is None else partial(self._run, instance)

    async def _run(self, instance: S, *args: P.args, **kwargs: P.kwargs) -> R:
        result = self.function(instance, *args, **kwargs)
        return cast(R, await result if inspect.isawaitable(result) else result)


class StreamMethod(BaseMethod, Generic[S, P, R]):
    """A method whose items are iterated with ``async for``."""

    @overload
    def __get__(self, instance: None, owner: type) -> StreamMethod[S, P, R]: ...
    @overload
    def __get__(self, instance: S, owner: type) -> Callable[P, AsyncIterator[R]]: ...
    def __get__(self, instance: S | None, owner: type) -> Any:
        return self if instance is None else partial(self.function, instance)


class BatchedCall(Generic[T, R, Rows]):
    """A batched method bound to an instance or a handle: call it with one row, or ``many`` with a list of rows."""

    async def __call__(self, row: T) -> R:
        """The result of one row; rows of concurrent calls are run together."""
        return cast(R, (await self._rows([row]))[0])

    async def many(self, rows: list[T]) -> Rows:
        """The results of several rows in their order, in one hop."""
        return cast(Rows, await self._rows(rows))

    async def _rows(self, rows: list[T]) -> Any:
        raise ContractError("an unbound batched method was called")


class LocalBatchedCall(BatchedCall[T, R, Rows]):
    """A batched method of a plain instance: runs the rows it is given, at once."""

    def __init__(self, instance: Any, method: Batched[Any, T, R, Rows]) -> None:
        self._instance = instance
        self._method = method

    async def _rows(self, rows: list[T]) -> Any:
        spec = self._method.spec()
        if not len(rows):
            return as_array(spec.signature.returns, []) if is_array_type(spec.signature.returns) else []
        batch: Any = np.stack(cast(Any, rows)) if is_array_type(spec.signature.parameters[0].annotation) else list(rows)
        try:
            result: Any = spec.function(self._instance, batch)
            result = await result if inspect.isawaitable(result) else result
        except RowErrors as bad:
            raise _first_error(bad, spec.name) from bad
        count = len(result) if hasattr(result, "__len__") else type(result).__name__
        if count != len(rows):
            raise ContractError(f"{spec.name} returned {count} rows for a batch of {len(rows)}")
        if not isinstance(result, np.ndarray):
            for row in result:
                if isinstance(row, Exception):
                    raise row
        return result


def _first_error(bad: RowErrors, name: str) -> Exception:
    return bad.errors[min(bad.errors)] if bad.errors else ContractError(f"{name} raised RowErrors for no row")


class Batched(BaseMethod, Generic[S, T, R, Rows]):
    """A method written for a list of rows and called with one."""

    @overload
    def __get__(self, instance: None, owner: type) -> Batched[S, T, R, Rows]: ...
    @overload
    def __get__(self, instance: S, owner: type) -> BatchedCall[T, R, Rows]: ...
    def __get__(self, instance: S | None, owner: type) -> Any:
        return self if instance is None else LocalBatchedCall(instance, self)


class MethodDecorator:
    """``@method(timeout=...)``: the decorator that remembers the options."""

    def __init__(self, policy: CallPolicy) -> None:
        self._policy = policy

    @overload
    def __call__(  # type: ignore[overload-overlap]  # an async iterator is an R as well; the first that fits is meant
        self, function: Callable[Concatenate[S, P], AsyncIterator[R]], /
    ) -> StreamMethod[S, P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, P], Coroutine[Any, Any, R]], /) -> Method[S, P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, P], R], /) -> Method[S, P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        kind = StreamMethod if inspect.isasyncgenfunction(function) else Method
        return kind(function, self._policy)


@overload
def method(  # type: ignore[overload-overlap]  # an async iterator is an R as well; the first that fits is meant
    function: Callable[Concatenate[S, P], AsyncIterator[R]], /
) -> StreamMethod[S, P, R]: ...
@overload
def method(function: Callable[Concatenate[S, P], Coroutine[Any, Any, R]], /) -> Method[S, P, R]: ...
@overload
def method(function: Callable[Concatenate[S, P], R], /) -> Method[S, P, R]: ...
@overload
def method(
    *, timeout: str | float | None = None, idempotent: bool = True, hedge: str | float | None = None
) -> MethodDecorator: ...
@checked
def method(
    function: Callable[..., Any] | None = None,
    /,
    *,
    timeout: str | float | None = None,
    idempotent: bool = True,
    hedge: str | float | None = None,
) -> Any:
    """Make a method of a service callable from the app. It may be ``def``, ``async def``, or an async generator.

    Args:
        timeout: bound of one call, as in "500ms"; the request's own deadline holds in any case.
        idempotent: whether a call may run again elsewhere after its replica died in the middle. True suits inference;
            set False for a method with side effects.
        hedge: after this long without an answer, ask a second replica as well and take whichever answers first.
    """
    decorate = MethodDecorator(_policy(timeout, idempotent, hedge))
    return decorate if function is None else decorate(function)


class BatchedDecorator:
    """``@batched(max_size=...)``: the decorator that remembers the options."""

    def __init__(self, policy: CallPolicy, batch: BatchPolicy) -> None:
        self._policy = policy
        self._batch = batch

    # Exceptions in the places of rows that failed: their callers see them raised, so R is the type of the others.
    @overload
    def __call__(
        self, function: Callable[[S, list[T]], Awaitable[list[R | Exception]]], /
    ) -> Batched[S, T, R, list[R]]: ...
    @overload
    def __call__(
        self, function: Callable[[S, np.ndarray[Any, Any]], Awaitable[list[R | Exception]]], /
    ) -> Batched[S, np.ndarray[Any, Any], R, list[R]]: ...
    @overload
    def __call__(self, function: Callable[[S, list[T]], list[R | Exception]], /) -> Batched[S, T, R, list[R]]: ...
    @overload
    def __call__(
        self, function: Callable[[S, np.ndarray[Any, Any]], list[R | Exception]], /
    ) -> Batched[S, np.ndarray[Any, Any], R, list[R]]: ...
    @overload
    def __call__(self, function: Callable[[S, list[T]], Awaitable[list[R]]], /) -> Batched[S, T, R, list[R]]: ...
    @overload
    def __call__(
        self, function: Callable[[S, list[T]], Awaitable[np.ndarray[Any, Any]]], /
    ) -> Batched[S, T, np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[[S, np.ndarray[Any, Any]], Awaitable[np.ndarray[Any, Any]]], /
    ) -> Batched[S, np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[[S, np.ndarray[Any, Any]], Awaitable[list[R]]], /
    ) -> Batched[S, np.ndarray[Any, Any], R, list[R]]: ...
    @overload
    def __call__(self, function: Callable[[S, list[T]], list[R]], /) -> Batched[S, T, R, list[R]]: ...
    @overload
    def __call__(
        self, function: Callable[[S, list[T]], np.ndarray[Any, Any]], /
    ) -> Batched[S, T, np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[[S, np.ndarray[Any, Any]], np.ndarray[Any, Any]], /
    ) -> Batched[S, np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[[S, np.ndarray[Any, Any]], list[R]], /
    ) -> Batched[S, np.ndarray[Any, Any], R, list[R]]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        return Batched(function, self._policy, self._batch)


@checked
def batched(
    *,
    max_size: int = 32,
    max_wait: str | float = "2ms",
    max_bytes: int = 64 << 20,
    timeout: str | float | None = None,
    idempotent: bool = True,
    hedge: str | float | None = None,
) -> BatchedDecorator:
    """Make a method that takes a list of rows callable with one row; concurrent calls are run as one batch.

    The function takes one parameter (``list[T]``, or an array whose first axis is the batch) and returns one result per
    row, in order: a list, or an array. To say that single rows are bad, return ``list[R | Exception]`` with exceptions
    in their places, or raise ``kapelle.RowErrors``; any other exception has the rows tried again one by one.

    Args:
        max_size: rows in one batch at most.
        max_wait: how long a batch may wait to fill while the service is busy; an idle one starts at once.
        max_bytes: bytes of encoded arguments in one batch at most.
        timeout, idempotent, hedge: as for ``method``.
    """
    if max_size < 1 or max_bytes < 1:
        raise DeclarationError(f"max_size={max_size}, max_bytes={max_bytes}: expected at least 1")
    policy = BatchPolicy(max_size, duration("max_wait", max_wait), max_bytes)
    return BatchedDecorator(_policy(timeout, idempotent, hedge), policy)


def _policy(timeout: str | float | None, idempotent: bool, hedge: str | float | None) -> CallPolicy:
    if hedge is not None and not idempotent:
        raise DeclarationError("hedge sends a call twice, so it needs idempotent=True")
    return CallPolicy(
        None if timeout is None else time_limit(timeout),
        idempotent,
        None if hedge is None else duration("hedge", hedge),
    )


def _row_results(function: Callable[..., Any], returns: Any) -> Any:
    """What a batched method returns when no row fails: ``list[R]`` of ``list[R | Exception]``."""
    row = get_args(returns)[0] if get_origin(returns) is list else None
    members = get_args(row) if get_origin(row) in (Union, UnionType) else (row,)
    failures = [one for one in members if inspect.isclass(one) and issubclass(one, BaseException)]
    if not failures:
        return returns
    results = [one for one in members if one not in failures]
    if failures != [Exception] or not results:
        raise DeclarationError(
            f"{function.__qualname__} returns {returns!r}; rows that fail are exceptions of any class in the list, so "
            "expected list[R | Exception], R being what the other rows give; or list[R], and raise RowErrors"
        )
    return list[reduce(or_, results)]  # type: ignore[misc]  # a type made at run time, which no checker can follow


_STREAMS = (AsyncIterator, AsyncIterable, AsyncGenerator)


def _kind(function: Callable[..., Any], is_batched: bool) -> Kind:
    if inspect.isgeneratorfunction(function):
        raise DeclarationError(f"{function.__qualname__} is a plain generator; expected `async def` with `yield`")
    if not inspect.isasyncgenfunction(function):
        return "batched" if is_batched else "unary"
    if is_batched:
        raise DeclarationError(f"{function.__qualname__} is a generator; a batched method returns one result per row")
    return "stream"


def _check_batched(function: Callable[..., Any], signature: Signature) -> None:
    name = function.__qualname__
    if len(signature.parameters) != 1:
        raise DeclarationError(
            f"{name} has parameters ({', '.join(signature.names)}); a batched method takes exactly one, the rows"
        )
    parameter: Parameter = signature.parameters[0]
    if parameter.keyword_only:
        raise DeclarationError(f"{name}: {parameter.name!r} is keyword-only; rows come by position, so declare no `*`")
    is_list = get_origin(parameter.annotation) is list
    if not is_list and not is_array_type(parameter.annotation):
        raise DeclarationError(
            f"{name}: {parameter.name} is {parameter.annotation!r}; a batched method takes list[T] or an array of rows"
        )
