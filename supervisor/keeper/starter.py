"""What the supervisor has to say to whoever started ringvisord: sd_notify's protocol, to the socket it named.

systemd listens to the main process alone (NotifyAccess=main), so the keeper passes the words on. It adds none: who
hears them knows that a supervisor found them and that the keeper's loop turns.
"""

import os
import socket
from collections.abc import Sequence

from supervisor.keeper.log import log

_PATIENCE_S = 0.25


def tell_starter(words: str, fds: Sequence[int] = ()) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(_PATIENCE_S)
        try:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            socket.send_fds(sock, [words.encode()], fds)
        except (ConnectionRefusedError, FileNotFoundError):
            pass  # it listens no more: it was only for them
        except OSError as error:
            log(f"NOTIFY_SOCKET takes no message: {error}")
