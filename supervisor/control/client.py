"""A client's end of the control line: blocking, with a limit to every wait."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Self

from ipc.errors import ProtocolError
from ipc.framing import Deframer, frame
from ipc.unix_socket import connect_stream
from supervisor.control.messages import (
    MAX_ANSWER_BYTES,
    NOT_PERMITTED,
    Answer,
    Done,
    Failed,
    Goodbye,
    Hello,
    Request,
    Welcome,
    decode_answer,
    encode,
)
from supervisor.control.waiting import wait_for_input

_CONNECT_MAX_S = 5.0
_PIECE_BYTES = 1 << 18


class NobodyAnswersError(Exception):
    """No ringvisord at this socket, or one that hung up; the message says which."""


class NoGreetingError(NobodyAnswersError):
    """Somebody listens, and says nothing."""


class NotPermittedError(NobodyAnswersError):
    """There is a ringvisord, and it does not speak with this user."""


class NoAnswerInTimeError(NobodyAnswersError):
    """It took the request; nothing is known of what became of it."""


class RequestFailedError(Exception):
    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.code = code


class ControlClient:
    def __init__(self, sock: socket.socket, path: str) -> None:
        self._socket = sock
        self._path = path
        self._deframer = Deframer(MAX_ANSWER_BYTES)
        self._answers: list[Answer] = []
        self._next_id = 0
        self.welcome = self._greet()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _greet(self) -> Welcome:
        with contextlib.suppress(NobodyAnswersError):  # who is turned away is told so before he says anything
            self._send(Hello())
        try:
            answer = self._receive(time.monotonic() + _CONNECT_MAX_S)
        except NoAnswerInTimeError as silence:
            raise NoGreetingError(f"{self._path}: nobody answers within {_CONNECT_MAX_S:g} s") from silence
        if isinstance(answer, Welcome):
            return answer
        reason = answer.reason if isinstance(answer, Goodbye) else f"unexpected answer {type(answer).__name__}"
        kind = NotPermittedError if reason.startswith(NOT_PERMITTED) else NobodyAnswersError
        raise kind(f"{self._path}: {reason}")

    def next_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def ask(self, request: Request, *, timeout_s: float) -> Answer:
        """The one answer of a request that has one."""
        return next(self.stream(request, timeout_s=timeout_s))

    def stream(self, request: Request, *, timeout_s: float | None) -> Iterator[Answer]:
        """Every answer but the closing Done. None: no limit, for those that follow something. It is asked at once."""
        self._send(request)
        return self._answers_until(None if timeout_s is None else time.monotonic() + timeout_s)

    def _answers_until(self, deadline_s: float | None) -> Iterator[Answer]:
        while True:
            answer = self._receive(deadline_s)
            match answer:
                case Done():
                    return
                case Failed(reason=reason, code=code):
                    raise RequestFailedError(reason, code)
                case Goodbye(reason=reason):
                    raise NobodyAnswersError(f"{self._path}: {reason}")
                case _:
                    yield answer

    def _send(self, request: Request) -> None:
        self._socket.settimeout(_CONNECT_MAX_S)
        try:
            self._socket.sendall(frame(encode(request)))
        except OSError as error:
            raise NobodyAnswersError(f"{self._path}: {error.strerror}") from error

    def _receive(self, deadline_s: float | None) -> Answer:
        self._socket.settimeout(0)
        while not self._answers:
            wait_for_input(self._socket.fileno(), None if deadline_s is None else deadline_s - time.monotonic())
            try:
                data = self._socket.recv(_PIECE_BYTES)
            except BlockingIOError:
                if deadline_s is None or time.monotonic() < deadline_s:
                    continue
                raise NoAnswerInTimeError(f"{self._path}: no answer in time") from None
            except OSError as error:
                raise NobodyAnswersError(f"{self._path}: {error.strerror}") from error
            if not data:
                raise NobodyAnswersError(f"{self._path}: ringvisord hung up")
            try:
                self._answers += map(decode_answer, self._deframer.feed(data))
            except ProtocolError as error:
                raise NobodyAnswersError(f"{self._path}: {error}") from error
        return self._answers.pop(0)


def connect(path: str) -> ControlClient:
    try:
        sock = connect_stream(path, timeout_s=_CONNECT_MAX_S)
    except PermissionError as error:
        raise NotPermittedError(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise NobodyAnswersError(f"{path}: {error.strerror or error}") from error
    try:
        return ControlClient(sock, path)
    except BaseException:
        sock.close()
        raise
