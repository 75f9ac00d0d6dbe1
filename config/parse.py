"""TOML trees to a Fleet. Pure: it opens nothing, and what it cannot know it leaves as claims in the report.

The order is that of what refers to what: the fleet's own table (its name is {fleet}), templates, sessions, and then
the checks that need them all. The Fleet is meaningful only if the report has no errors.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct, structs

from config.connections import SshIo
from config.crosscheck import check, check_jumps, resolved_dependencies, unique
from config.documents import Documents, gather
from config.hosts import CredentialKind, HostSpec
from config.kinds import INVALID, Scope
from config.located import Node
from config.locations import Surroundings
from config.merge import flat_templates, merge, parent_of
from config.model import Fleet, HookSpec, ProfileSpec
from config.report import Report
from config.sessions import PLACEHOLDERS, Draft, check_layer, make_sessions, session_keys
from config.settings import read_settings
from config.tables import keys_of, read_keys, refuse_unknown, unfolded

_Spec = TypeVar("_Spec", bound=Struct)


def parse(roots: Sequence[Node], around: Surroundings, scale: Mapping[str, int], report: Report) -> Fleet:
    """`roots`: the main file first. `scale`: numbers of instances that overrule the files'."""
    documents = gather(roots, report)
    scope = Scope({}, around.env, around.home, report)
    settings = read_settings(documents.fleet, scope, around)
    scope = structs.replace(scope, names={"fleet": settings.name})
    hosts = _hosts(documents, scope)
    hooks = dict(_read_named(HookSpec, documents.hook, scope))
    drafts = unique(_drafts(documents, scope, scale, settings.log_dir), report)
    drafts = resolved_dependencies(drafts, report)
    check(drafts, documents, report, settings.log_dir)
    check_jumps(hosts, documents, report)
    sessions = {name: draft.spec for name, draft in drafts.items()}
    return Fleet(
        **structs.asdict(settings),
        config=roots[0].place.source.path,
        sessions=sessions,
        hosts=hosts | _hosts_of_ssh_config(hosts, drafts.values()),
        hooks=hooks,
        profiles={name: ProfileSpec(name=name, table=plain(node)) for name, node in documents.profile.items()},
    )


def _drafts(documents: Documents, scope: Scope, scale: Mapping[str, int], log_dir: str) -> Iterator[Draft]:
    keys = session_keys()
    sparse = structs.replace(scope, names={**scope.names, **PLACEHOLDERS}, is_sparse=True)
    defaults = unfolded(documents.defaults, keys)
    templates = {name: unfolded(node, keys) for name, node in documents.template.items()}
    sessions = {name: unfolded(node, keys) for name, node in documents.session.items()}
    for layer in (defaults, *templates.values(), *sessions.values()):
        refuse_unknown(layer, keys, scope)
    for layer in (defaults, *templates.values()):
        check_layer(layer, sparse)
    if "template" in defaults.table:
        scope.report.error(
            defaults.at("template"), "belongs into a session or a template: all inherit [defaults] as it is"
        )
    flat = flat_templates(templates, scope.report)
    for table, node in sessions.items():
        template = parent_of(node, templates, scope.report)
        inherited = merge(defaults, flat[template]) if template else defaults
        for draft in make_sessions(table, merge(inherited, node), scope, scale.get(table)):
            yield _with_log_in(log_dir, draft)


def _with_log_in(log_dir: str, draft: Draft) -> Draft:
    spec = draft.spec
    if spec.log is None:
        return draft
    path = posixpath.normpath(posixpath.join(log_dir, spec.log.path or f"{spec.name}.log"))
    return structs.replace(draft, spec=structs.replace(spec, log=structs.replace(spec.log, path=path)))


def _read_named(spec: type[_Spec], tables: Mapping[str, Node], scope: Scope) -> Iterator[tuple[str, _Spec]]:
    for name, node in tables.items():
        refuse_unknown(node, keys_of(spec), scope)
        values = read_keys(spec, node, scope)
        if values is not INVALID:
            yield name, spec(name=name, **values)


def _hosts(documents: Documents, scope: Scope) -> dict[str, HostSpec]:
    return {
        name: structs.replace(host, credentials=_credentials(documents.host[name], host))
        for name, host in _read_named(HostSpec, documents.host, scope)
    }


def _credentials(node: Node, host: HostSpec) -> tuple[CredentialKind, ...]:
    """In the order written; `agent = false` and an empty list are none."""
    written = (CredentialKind(key) for key in node.table if key in set(CredentialKind))
    return tuple(kind for kind in written if getattr(host, kind))


def _hosts_of_ssh_config(hosts: Mapping[str, HostSpec], drafts: Iterable[Draft]) -> dict[str, HostSpec]:
    """Those that sessions name and the fleet does not define."""
    named = {draft.spec.io.host for draft in drafts if isinstance(draft.spec.io, SshIo)}
    named |= {jump for host in hosts.values() for jump in host.jump}
    return {name: HostSpec(name=name, is_from_ssh_config=True) for name in sorted(named - hosts.keys())}


def plain(node: Node) -> Any:
    """The values as tomllib gave them."""
    match node.value:
        case dict(table):
            return {key: plain(item) for key, item in table.items()}
        case list(items):
            return [plain(item) for item in items]
    return node.value
