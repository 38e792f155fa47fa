"""Connect to a Dask cluster."""

from typing import TYPE_CHECKING

from dfer.schemas.support.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 20


def connect(address: str) -> "Client":
    """Connect to the scheduler at an address, as --dask takes it.

    Raises UserError if the extra is not installed, the address has another form, or nobody answers.
    """
    try:
        import distributed
    except ImportError:
        raise UserError("--dask needs the extra: pip install 'dfer-keypoints[dask]'") from None
    if not address.startswith(("tcp://", "tls://", "ws://", "wss://")):
        raise UserError(f"--dask {address}: an address looks like tcp://10.0.0.1:8786")
    try:
        return distributed.Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        reason = type(error).__name__
        raise UserError(f"--dask {address}: no scheduler answers ({reason})") from None
