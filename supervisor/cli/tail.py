"""ringctl tail, maintail: the end of a log as it is in the file, with no daemon in between."""

import os

import click

from ipc.log_reader import LogSnapshot
from supervisor.cli.arguments import complete_names, json_option
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.log_history import last_bytes, open_log
from supervisor.cli.log_sources import find_sources
from supervisor.cli.log_tail import LogTail, follow
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.cli.tail_words import TailWords, parse_maintail, parse_tail

MAIN_LOG = "ringvisord.log"
_RAW = {"ignore_unknown_options": True}  # -1600 is no option


@click.command("tail", context_settings=_RAW, help="The last 1600 bytes, or BYTES, of a log; -f goes on as it grows.")
@click.argument("words", nargs=-1, metavar="[-f|-BYTES] NAME [stdout|stderr]", shell_complete=complete_names)
@json_option
@pass_operator
def tail_command(operator: Operator, words: tuple[str, ...], *, as_json: bool) -> Exit:
    wanted = parse_tail(words)
    sources, _ = find_sources(operator, [wanted.name])
    if len(sources) != 1:
        write_lines([f"{wanted.name}: ERROR (no such process name)"])
        complain(f"no such session: {wanted.name}; ringctl status lists them")
        return Exit.NO_SUCH
    return _tail(wanted, sources[0].path_of(wanted.stream), wanted.name, as_json=as_json)


@click.command("maintail", context_settings=_RAW, help="The same of ringvisord's own log.")
@click.argument("words", nargs=-1, metavar="[-f|-BYTES]")
@json_option
@pass_operator
def maintail_command(operator: Operator, words: tuple[str, ...], *, as_json: bool) -> Exit:
    wanted = parse_maintail(words)
    log_dir = operator.fleet.log_dir
    return _tail(wanted, f"{log_dir}/{MAIN_LOG}" if log_dir else "", "supervisord", as_json=as_json)


def _tail(wanted: TailWords, path: str, name: str, *, as_json: bool) -> Exit:
    if as_json and wanted.follow:
        raise Refusal("-f and --json: ringctl logs --json -f follows with an object a line", Exit.USAGE)
    if not os.path.isdir(os.path.dirname(path)):
        return _no_log(wanted, path, name)
    with open_log(path) as snapshot:
        if not snapshot.parts and not wanted.follow:
            return _no_log(wanted, path, name)
        if wanted.follow:
            return _follow(snapshot, path, wanted.byte_count)
        end = last_bytes(snapshot, wanted.byte_count)
        if as_json:
            write_json(name=name, stream=wanted.stream, bytes=len(end), text=end.decode(errors="replace"))
        else:
            click.echo(end)
        return Exit.DONE


def _no_log(wanted: TailWords, path: str, name: str) -> Exit:
    write_lines([f"{name}: ERROR (no log file)"])
    where = f"there is no {path}" if path else f"{name} has no log of {wanted.stream}"
    complain(f"{where}: nothing was written yet, or its log is off in the fleet file")
    return Exit.FAILED


def _follow(snapshot: LogSnapshot, path: str, count: int) -> Exit:
    write_lines(["==> Press Ctrl-C to exit <=="])
    tail = LogTail(path, snapshot)
    try:
        click.echo(last_bytes(snapshot, count), nl=False)
        for _, piece in follow([tail]):
            click.echo(piece, nl=False)
    except KeyboardInterrupt:
        write_lines([""])
    finally:
        tail.close()
    return Exit.DONE
