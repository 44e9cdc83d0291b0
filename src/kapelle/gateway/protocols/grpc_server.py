"""A server of gRPC: where the inference service is listened for, and within which limits."""

from __future__ import annotations

import grpc

from kapelle.gateway.protocols.grpc_service import InferenceService
from kapelle.transport.door import LAST_PORT


async def serve(
    service: InferenceService, address: str, max_body: int, tls: tuple[bytes, bytes] | None
) -> grpc.aio.Server:
    """Let clients in at ``address``; ``tls`` is the private key and the certificate chain.

    Raises:
        RuntimeError: the address cannot be had.
    """
    port = address.rpartition(":")[2]
    if port.isdecimal() and int(port) > LAST_PORT:
        # gRPC would take any other.
        raise RuntimeError(f"there is no port {port}")
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_body),
            ("grpc.max_send_message_length", -1),
            # Gateways of one system share a port; nobody else can, who is another user.
            ("grpc.so_reuseport", 1),
        ]
    )
    server.add_generic_rpc_handlers((service.handler(),))
    if tls is None:
        server.add_insecure_port(address)
    else:
        server.add_secure_port(address, grpc.ssl_server_credentials([tls]))
    await server.start()
    return server
