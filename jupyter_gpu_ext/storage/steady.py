"""A backend that does not give up at the first fault: every call waits its turn and is tried again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jupyter_gpu_ext.errors import (
    BadRequestError,
    DeniedError,
    ExpiredError,
    GpuExtError,
    NoCredentialError,
    NotFoundError,
    StorageTimeoutError,
    ThrottledError,
    UnauthenticatedError,
)
from jupyter_gpu_ext.storage.models import Deep, Renewing, Wholesale
from jupyter_gpu_ext.storage.retry import REMOTE, TRANSIENT, Schedule, Tally, patiently
from jupyter_gpu_ext.storage.steady_upload import SteadyUpload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jupyter_gpu_ext.storage.limiter import Limiter
    from jupyter_gpu_ext.storage.models import Backend, Entry, RawPage, SizesPage, Version, WritableBackend

T = TypeVar("T")

# A page, a header, a few properties: what is not there by then only trickles.
_SMALL_ANSWER_SECONDS = 60
# A whole chunk comes at 17 kB/s at least, as a piece of a range does; many of them share a slow line.
_SECONDS_A_MEBIBYTE, _MOST_ANSWER_SECONDS = 60, 600


class Steady:
    """The calls of `inner`, patiently; `inner` itself asks once and says what went wrong.

    Parameters
    ----------
    inner : Backend
        Its clients' own retries are off, so that budgets do not multiply.
    limiter : Limiter
        The account's.
    ended : callable
        Returns the error of a credential that has ended by now, None while it counts.
    """

    def __init__(
        self,
        inner: Backend,
        limiter: Limiter,
        schedule: Schedule = REMOTE,
        ended: Callable[[], ExpiredError | None] = lambda: None,
    ) -> None:
        self.inner = inner
        self.limiter = limiter
        self._schedule = schedule
        # To ask a protocol takes as long as to ask storage for little.
        self._renewing = inner if isinstance(inner, Renewing) else None
        self._wholesale = inner if isinstance(inner, Wholesale) else None
        self._ended = ended

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix`."""
        return await self._small(lambda: self.inner.list_page(prefix, marker=marker, limit=limit, search=search))

    async def sizes_below(self, prefix: str, *, marker: str | None, limit: int) -> SizesPage:
        """Return one page of the objects at any depth.

        Raises
        ------
        BadRequestError
            When this kind of storage lists folder by folder only.
        """
        deep = self.inner
        if not isinstance(deep, Deep):
            raise BadRequestError(f"{self.limiter.name} lists one folder at a time.")
        return await self._small(lambda: deep.sizes_below(prefix, marker=marker, limit=limit))

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""
        return await self._small(lambda: self.inner.head(key))

    async def first(self, key: str, length: int, tally: Tally | None = None) -> tuple[bytes, Version]:
        """Return the first `length` bytes or fewer, and the version they belong to."""
        return await self._small(lambda: self.inner.first(key, length), tally, _patience(length))

    async def whole(self, key: str, most_bytes: int, tally: Tally | None = None) -> memoryview:
        """Return an object, of a longer one its first `most_bytes`, at the least cost there is."""
        if (wholesale := self._wholesale) is not None:
            return await self._small(lambda: wholesale.whole(key, most_bytes), tally, _patience(most_bytes))
        return memoryview((await self.first(key, most_bytes, tally))[0])

    async def first_into(self, key: str, out: memoryview, tally: Tally | None = None) -> Version:
        """Fill `out` with the first bytes, a shorter object its beginning; return the version they belong to."""
        if (wholesale := self._wholesale) is not None:
            return await self._small(lambda: wholesale.first_into(key, out), tally, _patience(len(out)))
        data, version = await self.first(key, len(out), tally)
        out[: len(data)] = data
        return version

    async def read_into(
        self, key: str, version: Version, start: int, out: memoryview, tally: Tally | None = None
    ) -> None:
        """Fill `out`; after a cut the next try begins where the last one ended."""
        done = 0

        async def attempt() -> None:
            nonlocal done
            try:
                if done < len(out) or not len(out):
                    await self.inner.read_into(key, version, start + done, out[done:])
            except GpuExtError as error:
                done += error.done_bytes
                raise

        await self.patiently(attempt, tally)

    async def begin(
        self, key: str, *, overwrite: bool, size_bytes: int | None, upload_id: str | None = None
    ) -> SteadyUpload:
        """Start an upload, or go on with one."""
        begun = await self._small(
            lambda: self._writing.begin(key, overwrite=overwrite, size_bytes=size_bytes, upload_id=upload_id)
        )
        return SteadyUpload(self, key, begun)

    async def metadata(self, key: str) -> Mapping[str, str]:
        """Return what was committed beside the bytes."""
        return await self._small(lambda: self._writing.metadata(key))

    async def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove this one object."""
        tally = Tally()
        try:
            await self._small(lambda: self._writing.delete(key, etag=etag), tally)
        except NotFoundError:
            # Gone between two tries: the first one did it, its answer was lost.
            if not tally.retries:
                raise

    async def copy(self, key: str, to: str, *, overwrite: bool) -> Entry:
        """Copy one object; asked again only where the account refused to begin."""
        return await self.patiently(
            lambda: self._writing.copy(key, to, overwrite=overwrite), transient=(ThrottledError,)
        )

    async def make_folder(self, key: str) -> Entry:
        """Make an empty folder."""
        return await self._small(lambda: self._writing.make_folder(key))

    async def close(self) -> None:
        """Close the clients."""
        await self.inner.close()

    @property
    def _writing(self) -> WritableBackend:
        # Only `backends.writable` hands a connection out to those who write.
        return cast("WritableBackend", self.inner)

    async def patiently(
        self,
        attempt: Callable[[], Awaitable[T]],
        tally: Tally | None = None,
        transient: tuple[type[GpuExtError], ...] = TRANSIENT,
    ) -> T:
        """Await `attempt` at this account's pace, again where that may help; with a new token where the old has ended.

        Raises
        ------
        ExpiredError
            When the credential has ended and there is no other.
        """
        asked = self._renewing.asked if self._renewing is not None else 0
        options: Any = {"schedule": self._schedule, "tally": tally, "transient": transient}
        try:
            return await patiently(attempt, limiter=self.limiter, **options)
        except NoCredentialError:
            raise
        except DeniedError as error:
            # The service's own words may be any refusal's.
            if (told := self._ended()) is not None:
                raise told from None
            if not isinstance(error, (ExpiredError, UnauthenticatedError)) or not self._renewed(asked):
                raise
        return await patiently(attempt, limiter=self.limiter, **options)

    def _renewed(self, asked: int) -> bool:
        return self._renewing is not None and self._renewing.renew(asked)

    async def _small(
        self, call: Callable[[], Awaitable[T]], tally: Tally | None = None, seconds: float = _SMALL_ANSWER_SECONDS
    ) -> T:
        async def attempt() -> T:
            try:
                async with asyncio.timeout(seconds):
                    return await call()
            except TimeoutError as error:
                if isinstance(error, GpuExtError):
                    raise
                raise StorageTimeoutError(
                    f"{self.limiter.name} made no progress in time.",
                    hint="Run it again; if it stays, check the network.",
                ) from None

        return await self.patiently(attempt, tally)


def _patience(size_bytes: int) -> float:
    """Return how long an answer of so many bytes may take, in seconds."""
    return min(max(_SMALL_ANSWER_SECONDS, _SECONDS_A_MEBIBYTE * size_bytes / (1 << 20)), _MOST_ANSWER_SECONDS)
