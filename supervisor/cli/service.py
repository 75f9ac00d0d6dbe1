"""ringctl install-service, uninstall-service: the fleet as a service of systemd."""

import os
import pwd
import re
import sys
from collections.abc import Callable

import click
from msgspec.structs import replace

from config.errors import ConfigErrors
from config.load import find_config, load_settings, surroundings
from config.locations import Surroundings
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain, write_lines
from supervisor.install import installing
from supervisor.install.units import Locations, Service, rendered, system_locations, user_locations

_UNIT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_LINGERING = "/var/lib/systemd/linger"

_user_option = click.option("--user", "is_users", is_flag=True, help="Of your own service manager; needs no root.")
_config_option = click.option("-c", "--config", metavar="FILE", help="The fleet file, as before the command.")
_name_option = click.option("--name", metavar="NAME", help="Of the unit; ringvisor-FLEET unless said.")
_dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would be written and run.")


@click.command("install-service", help="Make this fleet a service: started at boot, started again, kept on restarts.")
@_user_option
@_config_option
@_name_option
@click.option("--now", is_flag=True, help="Start it, too.")
@_dry_run_option
@pass_operator
def install_service_command(
    operator: Operator, config: str | None, name: str | None, *, is_users: bool, now: bool, dry_run: bool
) -> Exit:
    service, where = _service(config or operator.wanted.config, name, is_users=is_users)
    contents = rendered(service, where, installing.read_templates())
    commands = installing.follow_up(service, where, now=now)
    if dry_run:
        write_lines(f"# {path}\n{content}" for path, content in contents.items())
        write_lines(" ".join(command) for command in commands)
        return Exit.DONE
    _may(is_users=is_users)
    _doing(lambda: installing.install(service, where, contents, _say, now=now))
    if not now:
        _say(f"start it with: {' '.join(installing.systemctl(service))} start {service.main_unit}")
    if is_users and not _lingers():
        complain(
            "your services end, and logind removes your shared memory, when you have logged out everywhere, until: "
            f"loginctl enable-linger {_user_name()}"
        )
    return Exit.DONE


@click.command("uninstall-service", help="Stop the sessions in order, and take the service away. Logs and state stay.")
@_user_option
@_config_option
@_name_option
@_dry_run_option
@pass_operator
def uninstall_service_command(
    operator: Operator, config: str | None, name: str | None, *, is_users: bool, dry_run: bool
) -> Exit:
    service, where = _service(config or operator.wanted.config, name, is_users=is_users)
    if dry_run:
        write_lines(["would stop, disable and remove:"])
        write_lines(f"  {where.units}/{unit}" for unit in (service.main_unit, service.sessions_unit))
        return Exit.DONE
    _may(is_users=is_users)
    _doing(lambda: installing.uninstall(service, where, _say))
    return Exit.DONE


def _service(config: str | None, name: str | None, *, is_users: bool) -> tuple[Service, Locations]:
    around = _surroundings(is_users=is_users)
    try:
        path = find_config(config, around)
        settings = load_settings(path, around=around)
    except ConfigErrors as wrong:
        raise Refusal(str(wrong.problems[0]), Exit.USAGE) from None
    unit = (name or f"ringvisor-{settings.name}").removesuffix(".service")
    if not _UNIT_NAME.fullmatch(unit):
        raise Refusal(f'"{unit}" is no name of a unit: letters, digits, "_", "." and "-"', Exit.USAGE)
    service = Service(unit, settings.name, path, settings.runtime_dir, _bin_dir(), is_users)
    where = user_locations(around.env, around.home) if is_users else system_locations()
    return service, where


def _bin_dir() -> str:
    """Of this installation: beside this command, or beside its interpreter."""
    nearby = [os.path.dirname(os.path.abspath(path)) for path in (sys.argv[0], sys.executable)]
    for directory in nearby:
        if os.access(f"{directory}/ringvisord", os.X_OK):
            return directory
    raise Refusal(
        f"ringvisord is not in {' or '.join(nearby)}: install ringvisor with pip, in an environment of its own"
    )


def _surroundings(*, is_users: bool) -> Surroundings:
    """As the service will have them: the machine's services know no user's directories, a user's always do."""
    here = surroundings()
    if is_users:
        return replace(here, env={"XDG_RUNTIME_DIR": f"/run/user/{here.uid}", **here.env})
    return replace(here, uid=0, env={key: value for key, value in here.env.items() if not key.startswith("XDG_")})


def _may(*, is_users: bool) -> None:
    if not os.path.isdir("/run/systemd/system"):
        raise Refusal("this machine was not booted with systemd; ringvisord --daemon needs none")
    if not is_users and os.geteuid() != 0:
        raise Refusal("a service of the machine is root's to install: sudo, or --user for one of yours", Exit.NO_SUCH)


def _doing(act: Callable[[], None]) -> None:
    try:
        act()
    except installing.CannotInstallError as problem:
        raise Refusal(str(problem)) from problem


def _say(line: str) -> None:
    write_lines([line])


def _lingers() -> bool:
    return os.path.exists(f"{_LINGERING}/{_user_name()}")


def _user_name() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name
