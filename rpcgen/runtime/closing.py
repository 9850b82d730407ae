"""What is used in a ``with`` block, at whose end it is closed."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    import types


class Closing:
    """Leaving its ``with`` block calls ``close()``."""

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends what it holds."""
        raise NotImplementedError


class AsyncClosing:
    """Leaving its ``async with`` block awaits ``close()``."""

    async def __aenter__(self) -> typing.Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends what it holds."""
        raise NotImplementedError
