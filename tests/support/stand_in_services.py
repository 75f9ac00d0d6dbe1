"""Services that a test steers: the supervisor hands it its channel, the router notes how the last one ended."""

import os
import signal
import socket

import msgspec

from supervisor.keeper import packets
from supervisor.keeper.template import ServiceJob

HOW_THE_LAST_ONE_ENDED = "predecessor"


def supervisor(job: ServiceJob) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(job.args[0])
        packets.send(connection, msgspec.msgpack.encode((os.getpid(), job.predecessor)), [job.fds["keeper"]])
        os.close(job.fds["keeper"])
        connection.recv(1)  # until the test lets it go


def router(job: ServiceJob) -> None:
    with open(f"{job.args[0]}/{HOW_THE_LAST_ONE_ENDED}", "a") as notes:
        notes.write(f"{job.predecessor}\n")
    signal.pause()
