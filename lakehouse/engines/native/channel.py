"""The one connection of Spark's client to the in-process Spark Connect server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from pyspark.sql.connect.client import DefaultChannelBuilder

from lakehouse.engines.native import guard

if TYPE_CHECKING:
    import socket

    from pysail.spark import SparkConnectServer


class OneConnection(DefaultChannelBuilder):
    """For `SparkSession.builder.channelBuilder`: all its sessions talk through one connection, which none closes.

    It holds the server, which would stop with the last name for it, and the port.
    """

    def __init__(self, server: SparkConnectServer, channel: grpc.Channel, port: socket.socket | None) -> None:
        super().__init__("sc://127.0.0.1")
        self.server, self.channel, self.port = server, channel, port

    def toChannel(self) -> Any:  # noqa: N802, ANN401  Spark's name; this object is its channel, but for `close`
        return self

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401, D105
        return getattr(self.channel, name)

    def close(self) -> None:
        """Nothing: a session's `stop` comes here, and the others go on."""

    def end(self) -> None:
        """In this order: what a session sends to a server that is gone is tried again for minutes, at exit too."""
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
