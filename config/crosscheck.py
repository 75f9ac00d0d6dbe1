"""What a single value cannot show: names that refer to something, sizes that must fit each other, paths that meet."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import structs

from config.connections import SshIo
from config.cycles import cycles
from config.documents import Documents
from config.health import ActionKind
from config.hosts import HostSpec
from config.located import Place
from config.model import Condition
from config.policies import RestartWhen
from config.report import Report
from config.sessions import Draft
from config.suggest import suggest

MAIN_LOG: Final = "ringvisord.log"
BUILT_IN_PROFILES: Final = ("claude", "codex", "gemini", "jsonl", "lines")


def unique(drafts: Iterable[Draft], report: Report) -> dict[str, Draft]:
    """Drafts by name. (`:` and `@` cannot be in a table's name, so only numbers can make two names meet.)"""
    found: dict[str, Draft] = {}
    for draft in drafts:
        name = draft.spec.name
        if name in found:
            report.error(draft.node.place, f'makes a session "{name}", and so does {found[name].node.place}')
        found.setdefault(name, draft)
    return found


def check(drafts: Mapping[str, Draft], documents: Documents, report: Report, log_dir: str) -> None:
    for draft in drafts.values():
        _check_hooks(draft, documents, report)
        _check_profile(draft, documents, report)
        _check_memory(draft, report)
        _check_host(draft, documents, report)
    _check_logs(drafts.values(), report, posixpath.normpath(posixpath.join(log_dir, MAIN_LOG)))


def resolved_dependencies(drafts: Mapping[str, Draft], report: Report) -> dict[str, Draft]:
    """With each group or table that a session depends on replaced by the sessions it has."""
    members = _members(drafts)
    edges: dict[str, set[str]] = {draft.spec.table: set() for draft in drafts.values()}
    resolved = {}
    for name, draft in drafts.items():
        conditions: dict[str, Condition] = {}
        for target, condition in draft.spec.depends_on.items():
            place = draft.node.at("depends_on", target)
            if target not in members:
                report.error(place, f'there is no session or group "{target}"', suggest(target, members))
            for needed in members.get(target, ()):
                conditions[needed.spec.name] = condition
                edges[draft.spec.table].add(needed.spec.table)
                _check_condition(condition, needed, place, report)
        resolved[name] = structs.replace(draft, spec=structs.replace(draft.spec, depends_on=conditions))
    _report_cycles(edges, drafts, report)
    return resolved


def _members(drafts: Mapping[str, Draft]) -> dict[str, list[Draft]]:
    """What a name may stand for: a session, else a table's sessions, else a group's."""
    members: dict[str, list[Draft]] = {}
    by_group: dict[str, list[Draft]] = {}
    for draft in drafts.values():
        members.setdefault(draft.spec.table, []).append(draft)
        by_group.setdefault(draft.spec.group, []).append(draft)
    return by_group | members | {name: [draft] for name, draft in drafts.items()}


def _check_condition(condition: Condition, needed: Draft, place: Place, report: Report) -> None:
    spec = needed.spec
    if condition is Condition.HEALTHY and not spec.health:
        report.error(place, f'[session.{spec.table}] has no health checks: it would never be "healthy"')
    if condition is Condition.COMPLETED and spec.restart.policy is RestartWhen.ALWAYS:
        report.warn(place, f'[session.{spec.table}] is always restarted: it is never "completed"')


def _report_cycles(edges: Mapping[str, set[str]], drafts: Mapping[str, Draft], report: Report) -> None:
    nodes = {draft.spec.table: draft.node for draft in drafts.values()}
    for circle in cycles(edges):
        place = nodes[circle[0]].at("depends_on", circle[1])
        report.error(place, f"sessions wait for each other: {' -> '.join(circle)}")


def _check_hooks(draft: Draft, documents: Documents, report: Report) -> None:
    for i, check in enumerate(draft.spec.health):
        hook = check.action.hook
        if check.action.kind is ActionKind.HOOK and hook not in documents.hook:
            report.error(_check_place(draft, i), f"there is no [hook.{hook}]", suggest(hook, documents.hook))


def _check_place(draft: Draft, index: int) -> Place:
    checks = draft.node.table["health"]
    return checks.value[index].at("action") if isinstance(checks.value, list) else checks.at("action")


def _check_profile(draft: Draft, documents: Documents, report: Report) -> None:
    profile = draft.spec.profile
    known = (*BUILT_IN_PROFILES, *documents.profile)
    if profile and profile not in known:
        report.error(draft.node.at("profile"), f"there is no [profile.{profile}]", suggest(profile, known))


def _check_memory(draft: Draft, report: Report) -> None:
    high, most = draft.spec.limits.memory_high, draft.spec.limits.memory_max
    if isinstance(high, int) and isinstance(most, int) and high > most:
        report.error(draft.node.at("limits", "memory_high"), f"is more than memory_max, {most} bytes")


def _check_host(draft: Draft, documents: Documents, report: Report) -> None:
    if not isinstance(draft.spec.io, SshIo) or draft.spec.io.host in documents.host:
        return
    host = draft.spec.io.host
    near = suggest(host, documents.host)
    if near:
        place = draft.node.at("hosts" if "hosts" in draft.node.table else "host")
        report.warn(place, f'there is no [host.{host}]: "{host}" is looked up in ssh_config', near)


def check_jumps(hosts: Mapping[str, HostSpec], documents: Documents, report: Report) -> None:
    for circle in cycles({name: set(host.jump) for name, host in hosts.items()}):
        report.error(documents.host[circle[0]].at("jump"), f"hosts in a circle: {' -> '.join(circle)}")


def _check_logs(drafts: Iterable[Draft], report: Report, main_log: str) -> None:
    """Two sessions in one file could not be told apart, nor verified; nor a session and ringvisord itself."""
    writers: dict[str, Draft] = {}
    for draft in drafts:
        for path in _log_paths(draft):
            if path in writers:
                other = writers[path]
                hint = "; put {name} into it" if other.spec.table == draft.spec.table else ""
                place = draft.node.at("log", "path")
                report.error(place, f"[session.{other.spec.table}] writes to the same file{hint}")
            if path == main_log:
                report.error(draft.node.at("log", "path"), "writes to ringvisord's own log: name another file")
            writers.setdefault(path, draft)


def _log_paths(draft: Draft) -> Sequence[str]:
    log = draft.spec.log
    if log is None:
        return ()
    return (log.path, log.error_path) if draft.spec.io.__struct_config__.tag == "pipe" else (log.path,)
