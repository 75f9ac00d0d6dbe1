"""The machine's users: what a session's `user` means here and now. Asked at load (does it exist?) and at each start."""

import grp
import os
import pwd

from msgspec import Struct


class Account(Struct, frozen=True):
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]  # all that the process gets
    home: str
    shell: str


class NoAccountError(LookupError):
    pass


def find_account(user: str) -> Account:
    """`user` is NAME, NAME:GROUP, or numbers for either; "" is who runs us."""
    name, _, group = user.partition(":")
    entry = _entry(name) if name else _own_entry()
    if not group:
        return _account(entry, entry.pw_gid)
    return _account(entry, _gid(group))


def _account(entry: pwd.struct_passwd, gid: int) -> Account:
    groups = tuple(os.getgrouplist(entry.pw_name, gid))
    return Account(entry.pw_name, entry.pw_uid, gid, groups, entry.pw_dir, entry.pw_shell or "/bin/sh")


def _entry(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    if name.isdecimal():
        try:
            return pwd.getpwuid(int(name))
        except (KeyError, OverflowError):
            pass
    raise NoAccountError(f'this machine has no user "{name}"')


def _own_entry() -> pwd.struct_passwd:
    """A container may run us under a number that no file names."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        home, shell = os.environ.get("HOME", "/"), os.environ.get("SHELL", "/bin/sh")
        return pwd.struct_passwd((str(uid), "x", uid, os.getgid(), "", home, shell))


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group.isdecimal():
            return int(group)
    raise NoAccountError(f'this machine has no group "{group}"')
