"""`attach`: from a place and wishes to a terminal that shows a session, and back."""

import os
import sys

from ipc.terminal_modes import reset_sequence
from ipc.unix_socket import MAX_PACKET_BYTES, connect_seqpacket
from ipc.worker_messages import Greeting, Hello, decode_from_worker, encode
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.viewer.notices import below_output, last_line
from supervisor.cli.viewer.places import Place, router_path, worker_path
from supervisor.cli.viewer.screen import POP_TITLE, Screen
from supervisor.cli.viewer.viewer import Farewell, Viewer, Why, Wishes

_PATIENCE_S = 1.0


def attach(place: Place, wishes: Wishes) -> None:
    """Until the user leaves. Raises Refusal, also where something else ended it."""
    conclude(place.session, visit(place, wishes))


def visit(place: Place, wishes: Wishes) -> Farewell:
    """Until anything ends it. Raises Refusal where it cannot begin."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refusal("attach needs a terminal on stdin and stdout; use ringctl send, expect and logs", Exit.USAGE)
    if not os.path.exists(router_path(place)):
        raise Refusal(f"no router at {router_path(place)}: does ringvisord run?", Exit.NO_ANSWER)
    greeting = greeting_of(place)
    screen = Screen(sys.stdin.fileno(), lines=greeting is not None and not greeting.cols)
    viewer = Viewer(place.session, router_path(place), worker_path(place), screen, wishes)
    last_words = last_line("[ended by a mistake in ringctl]")
    try:
        farewell = viewer.run()
        put = below_output if farewell.why is Why.ENDED else last_line
        last_words = put(f"[{_words(place.session, farewell)}]")
    finally:
        screen.leave(reset_sequence(viewer.modes) + POP_TITLE + last_words)
        screen.close()
    return farewell


def greeting_of(place: Place) -> Greeting | None:
    """None: no worker answers now."""
    try:
        with connect_seqpacket(worker_path(place), timeout_s=_PATIENCE_S) as worker:
            worker.send(encode(Hello()))
            answer = decode_from_worker(worker.recv(MAX_PACKET_BYTES))
    except OSError:
        return None
    return answer if isinstance(answer, Greeting) else None


def _words(session: str, farewell: Farewell) -> str:
    match farewell.why:
        case Why.DETACHED:
            return f"detached from {session}"
        case Why.ENDED:
            return farewell.detail
        case _:
            return f"left {session}: {farewell.detail or farewell.why}"


def conclude(session: str, farewell: Farewell) -> None:
    match farewell.why:
        case Why.DETACHED | Why.ENDED:
            return
        case Why.NO_SESSION:
            raise Refusal(farewell.detail or f"no session {session}", Exit.NO_SUCH)
        case Why.NO_ANSWER:
            raise Refusal(f"left {session}: {farewell.detail}; it runs on, attach again", Exit.NO_ANSWER)
        case _:
            raise Refusal(f"left {session}: {farewell.detail or farewell.why}; it runs on")
