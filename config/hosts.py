"""Places reached by SSH, as data. Credentials are tried in the order in which their keys were written."""

import enum
from typing import Annotated, Final

from msgspec import Struct

from config.kinds import TEXT, Choice, Claimed, ListOf, Path
from config.report import ClaimKind
from config.tables import Applied, Key
from config.values import FLAG, NAME, PORT

RECONNECT: Final = Applied.NEXT_START  # the connection that stands is left alone


class HostKeyPolicy(enum.StrEnum):
    STRICT = "strict"
    ACCEPT_NEW = "accept-new"


class SshBackend(enum.StrEnum):
    PARAMIKO = "paramiko"
    OPENSSH = "openssh"


class CredentialKind(enum.StrEnum):
    """Spelled as the keys of a host table."""

    KEY = "key"
    PASSWORD_FILE = "password_file"  # noqa: S105 - the name of a key, not a password
    AGENT = "agent"
    CERTIFICATE = "certificate"


class HostSpec(Struct, frozen=True, kw_only=True):
    name: str
    is_from_ssh_config: bool = False  # named by a session, not by this fleet: ssh_config says everything
    credentials: tuple[CredentialKind, ...] = ()  # in the order to try them; none: as ssh would
    address: Annotated[str, Key(TEXT, RECONNECT, "name or address to connect to; empty: the host's own name")] = ""
    port: Annotated[int, Key(PORT, RECONNECT, "of sshd")] = 22
    user: Annotated[str, Key(TEXT, RECONNECT, "on the host; empty: as ssh would")] = ""
    key: Annotated[tuple[str, ...], Key(ListOf(Path()), RECONNECT, "private key files")] = ()
    password_file: Annotated[
        str, Key(Claimed(Path(), ClaimKind.SECRET_FILE), RECONNECT, "file that holds the password and nothing else")
    ] = ""
    agent: Annotated[bool, Key(FLAG, RECONNECT, "offer the keys of the running ssh-agent")] = False
    certificate: Annotated[tuple[str, ...], Key(ListOf(Path()), RECONNECT, "OpenSSH certificates for the keys")] = ()
    known_hosts: Annotated[str, Key(Path(), RECONNECT, "file of host keys; empty: as ssh would")] = ""
    host_keys: Annotated[
        HostKeyPolicy, Key(Choice(HostKeyPolicy), RECONNECT, "an unknown host key: refused, or recorded at first sight")
    ] = HostKeyPolicy.STRICT
    jump: Annotated[tuple[str, ...], Key(ListOf(NAME), RECONNECT, "hosts to go through, the first one first")] = ()
    backend: Annotated[SshBackend, Key(Choice(SshBackend), RECONNECT, "what speaks SSH")] = SshBackend.PARAMIKO
