"""The one connection of Spark's client to the in-process Spark Connect server."""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
from pyspark.sql.connect import proto
from pyspark.sql.connect.client import DefaultChannelBuilder

from lakehouse.engines.native import guard

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from pysail.spark import SparkConnectServer
    from pyspark.sql.connect.session import SparkSession

OF_SPARK = "/spark.connect.SparkConnectService/"


class OneConnection(DefaultChannelBuilder):
    """For `SparkSession.builder.channelBuilder`: all its sessions talk through one connection, which none closes.

    It holds the server, which would stop with the last name for it, and the port.
    """

    def __init__(self, server: SparkConnectServer, channel: grpc.Channel, port: socket.socket | None) -> None:
        super().__init__("sc://127.0.0.1")
        self.server, self.channel, self.port = server, channel, port
        self._interrupt = channel.unary_unary(
            f"{OF_SPARK}Interrupt", proto.InterruptRequest.SerializeToString, proto.InterruptResponse.FromString
        )
        self._forgetting: set[grpc.Future] = set()
        self._is_ended = threading.Event()

    def toChannel(self) -> Any:  # noqa: N802, ANN401  Spark's name; this object is its channel, but for `close`
        return self

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401, D105
        return getattr(self.channel, name)

    def unary_stream(self, method: str, *how: Any, **more: Any) -> Callable[..., Iterator[Any]]:  # noqa: ANN401
        """As of a channel, but that Sail forgets what it executed: it would keep it for as long as the session lasts.

        It forgets what is interrupted; a release it hears only of what could be asked for again.
        """
        call: Callable[..., Iterator[Any]] = self.channel.unary_stream(method, *how, **more)
        if method != f"{OF_SPARK}ExecutePlan":
            return call

        def execute(plan: proto.ExecutePlanRequest, **said: Any) -> Iterator[Any]:  # noqa: ANN401
            plan.operation_id = plan.operation_id or str(uuid.uuid4())
            try:
                yield from call(plan, **said)
            finally:
                self._forget(plan)

        return execute

    def keep(self, session: SparkSession, seconds: float) -> None:
        """The session is used every so many seconds from now on: Sail drops one that is not, whatever runs in it."""
        threading.Thread(target=self._use, args=(session, seconds), daemon=True, name="keeps the session").start()

    def _use(self, session: SparkSession, seconds: float) -> None:
        while not self._is_ended.wait(seconds):
            with suppress(Exception):  # whoever computes next is told, see Native.spent
                session.conf.get("spark.sql.session.timeZone")

    def _forget(self, plan: proto.ExecutePlanRequest) -> None:
        told = proto.InterruptRequest(
            session_id=plan.session_id,
            user_context=plan.user_context,
            interrupt_type=proto.InterruptRequest.INTERRUPT_TYPE_OPERATION_ID,
            operation_id=plan.operation_id,
        )
        with suppress(ValueError):  # the channel was closed meanwhile, and the server is gone with it
            heard = self._interrupt.future(told)
            self._forgetting.add(heard)  # what nobody holds is cancelled
            heard.add_done_callback(self._forgetting.discard)

    def close(self) -> None:
        """Nothing: a session's `stop` comes here, and the others go on."""

    def end(self) -> None:
        """In this order: what a session sends to a server that is gone is tried again for minutes, at exit too."""
        self._is_ended.set()
        self.channel.close()
        self.server.stop()
        if self.port:
            self.port.close()


def start(server: SparkConnectServer) -> tuple[OneConnection, str]:
    """The way into the server, and why others have it too ("" if they have not): see guard.start."""
    channel, port, why_not = guard.start(server, _connect)
    return OneConnection(server, channel, port), why_not


def _connect(host: str, port: int) -> tuple[grpc.Channel, Any]:
    options = (*DefaultChannelBuilder.GRPC_DEFAULT_OPTIONS, *guard.OPTIONS)
    channel = grpc.insecure_channel(f"{host}:{port}", options=options)
    return channel, grpc.channel_ready_future(channel)
