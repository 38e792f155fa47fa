"""The address that `train serve` listens on, and the one to open."""

import errno
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress

from dfer.schemas.support.errors import UserError

# Addresses of other machines. They are kept for examples, but the way there is the way to any other.
ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def bound(host: str, port: int) -> socket.socket:
    """A socket with this address. Raises UserError."""
    other_host = "give an address of this machine, such as 127.0.0.1"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        # A UnicodeError is for what cannot be a name, such as one that is too long.
        reason = error.strerror if isinstance(error, OSError) else "no name of a machine"
        raise UserError(f"--host {host}: {reason}; {other_host}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise UserError(f"--host {host}: {error.strerror}; {other_host}") from None
        raise UserError(
            f"--host {host} --port {port}: {error.strerror}; choose another --port, or 0 for any free one"
        ) from None
    return listener


def is_for_this_machine(listener: socket.socket) -> bool:
    """Whether nothing but this machine reaches a socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def url(listener: socket.socket) -> str:
    """What to open in a browser: by an IP address, which the guard knows from a name that another site can have."""
    address, port = listener.getsockname()[:2]
    if ipaddress.ip_address(address).is_unspecified:
        address = _own_address((listener.family, socket.AF_INET)) or address
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/"


def _own_address(families: Sequence[socket.AddressFamily]) -> str:
    """The address by which other machines reach this one; empty where none is found."""
    for family in families:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((ELSEWHERE[family], 9))  # sends nothing
            return asked.getsockname()[0]
    with suppress(OSError):  # no way out of its network: what its name stands for
        return socket.getaddrinfo(socket.gethostname(), None, families[0])[0][4][0]
    return ""
