"""Entries -> the functions, effects and wire messages that templates loop over. All decisions are taken here."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from interpose.generator.load import Entry

__all__ = ["Effect", "Field", "Function", "Model", "Number", "Parameter", "build_model"]

_KINDS = ("effect", "manual", "covered", "called")
_FUNCTION_KEYS = frozenset(
    {
        *("prototype", "names", "aliases", "with", "optional", "list", "fails", "error", "versions"),
        *("libc", "since", "headers", "inside", *_KINDS),
    }
)
_NUMBER_KEYS = frozenset({"names", "effect", "with", "manual", "covered"})
_EFFECT_KEYS = frozenset({"fields", "state", "before", "after", "failures", "inline"})
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a prototype; `declaration` holds its type and name as C has them, of an optional one its type."""

    name: str
    declaration: str


@dataclass(frozen=True)
class Field:
    """What a hook is told: a C member, and the value where a function binds none (None: it must)."""

    name: str
    type: str
    default: str | None

    @property
    def declaration(self) -> str:
        """The member's declaration in C."""
        return f"{self.type}{'' if self.type.endswith('*') else ' '}{self.name}"


@dataclass(frozen=True)
class Effect:
    """One member of the closed set, with the hooks that it has."""

    name: str
    fields: tuple[Field, ...]
    state: tuple[Field, ...]
    before: bool
    after: bool
    failures: bool
    inline: bool


@dataclass(frozen=True)
class Binding:
    """`call.<field> = <value>` in C."""

    field: str
    value: str


@dataclass(frozen=True)
class Function:
    """One name of a libc. `of` names the function that an alias follows.

    `kind` is one of wrapped (the body is generated), manual (it is written by hand), covered (no wrapper, `reason` says
    what sees it instead) and called (no wrapper, the library itself calls it).
    """

    name: str
    family: str
    line: int
    kind: str
    reason: str
    result: str
    parameters: tuple[Parameter, ...]
    variadic: bool
    of: str = ""
    effect: Effect | None = None
    early: tuple[Binding, ...] = ()
    late: tuple[Binding, ...] = ()
    optional: tuple[Parameter, ...] = ()
    optional_when: str = ""
    inside: int = 0
    """Before this minor version of glibc it works by calls that pass other wrappers, which tell of it."""
    list: str = ""
    fails: str = ""
    error: str = ""
    versions: bool = False
    """Whether old versions of it do something else."""
    libc: str = ""
    since: str = ""
    headers: str = "all"
    """Whose headers declare it as the prototype says: all, glibc, musl or none."""

    @property
    def returns(self) -> str:
        """The result's type, ready to stand before a name."""
        return self.result if self.result.endswith("*") else f"{self.result} "

    @property
    def declared_parameters(self) -> str:
        """The parameter list as in the prototype."""
        declared = [parameter.declaration for parameter in self.parameters]
        return ", ".join([*declared, "..."] if self.variadic else declared) or "void"

    @property
    def called_parameters(self) -> str:
        """The parameter list of the function that is really called: variadic only where an argument is passed on."""
        declared = [parameter.declaration for parameter in self.parameters]
        if self.list:
            declared.append("va_list")
        elif self.variadic:
            declared.append("...")
        return ", ".join(declared) or "void"

    @property
    def arguments(self) -> str:
        """What the wrapper passes on."""
        names = [parameter.name for parameter in self.parameters]
        names += [parameter.name for parameter in self.optional]
        if self.list:
            names.append("ip_arguments")
        return ", ".join(names)

    @property
    def real(self) -> str:
        """The name to look up for the call."""
        return self.list or self.name

    @property
    def last_parameter(self) -> str:
        """Where variadic arguments begin."""
        return self.parameters[-1].name

    @property
    def is_void(self) -> bool:
        """Whether there is no result."""
        return self.result == "void"

    @property
    def absent(self) -> str:
        """The result when the libc at hand has no such function."""
        if self.error == "result":
            return "IP_ENOSYS"
        return "0" if self.result.endswith("*") else "-1"

    @property
    def glibc_since(self) -> int:
        """The minor version of glibc that was the first to have it, 0 if all that matter do."""
        return int(self.since.removeprefix("glibc 2.")) if self.since.startswith("glibc") else 0

    @cached_property
    def declaration(self) -> str:
        """The prototype in C."""
        return f"{self.returns}{self.name}({self.declared_parameters})"


@dataclass(frozen=True)
class Number:
    """A system call as syscall(2) makes it. `name` is what the kernel's headers call it: __NR_<name>.

    `kind` is one of wrapped, manual (ip_number_<name> does it) and covered (it passes, `reason` says why).
    """

    name: str
    kind: str
    reason: str
    effect: Effect | None = None
    early: tuple[Binding, ...] = ()
    late: tuple[Binding, ...] = ()


@dataclass(frozen=True)
class Model:
    """Everything that the C templates need."""

    effects: tuple[Effect, ...]
    functions: tuple[Function, ...]
    numbers: tuple[Number, ...] = ()
    exported: tuple[Function, ...] = field(init=False)
    wrapped: tuple[Function, ...] = field(init=False)
    uncertain: tuple[Function, ...] = field(init=False)
    """Exported ones that some libc, or an older one, does not have."""
    resolved: tuple[str, ...] = field(init=False)
    """Names of the real functions that somebody calls, sorted."""

    def __post_init__(self) -> None:
        exported = tuple(function for function in self.functions if function.kind in ("wrapped", "manual"))
        names = {f.real for f in self.functions if f.kind != "covered"}
        object.__setattr__(self, "exported", exported)
        object.__setattr__(self, "wrapped", tuple(f for f in exported if f.kind == "wrapped"))
        object.__setattr__(self, "uncertain", tuple(f for f in exported if f.libc or f.since))
        object.__setattr__(self, "resolved", tuple(sorted(names)))


def build_model(effects: Iterable[Entry], functions: Iterable[Entry], numbers: Iterable[Entry] = ()) -> Model:
    """The model of all specs; raises SpecError at the line that is wrong."""
    by_name = {entry.name: _effect(entry) for entry in effects}
    built: dict[str, Function] = {}
    for entry in functions:
        for function in _functions(entry, by_name):
            if function.name in built:
                other = built[function.name]
                raise entry.error(f"'{function.name}' is already specified at {other.family}.yaml:{other.line}")
            built[function.name] = function
    by_number: dict[str, Number] = {}
    for entry in numbers:
        for number in _numbers(entry, by_name):
            if number.name in by_number:
                raise entry.error(f"'{number.name}' is already specified")
            by_number[number.name] = number
    return Model(tuple(by_name.values()), tuple(built.values()), tuple(by_number.values()))


def _effect(entry: Entry) -> Effect:
    entry.check_keys(_EFFECT_KEYS)
    values = entry.values
    fields = tuple(_field(entry, name, spec) for name, spec in values.get("fields", {}).items())
    state = tuple(Field(name, str(spec), None) for name, spec in values.get("state", {}).items())
    return Effect(
        name=entry.name,
        fields=fields,
        state=state,
        before=bool(values.get("before", False)),
        after=bool(values.get("after", True)),
        failures=bool(values.get("failures", False)),
        inline=bool(values.get("inline", False)),
    )


def _field(entry: Entry, name: str, spec: object) -> Field:
    match spec:
        case str():
            return Field(name, spec, None)
        case [str(type_), str() | int() as default]:
            return Field(name, type_, str(default))
    raise entry.error(f"field '{name}' must be a C type, or [C type, default]")


def _functions(entry: Entry, effects: dict[str, Effect]) -> Iterator[Function]:
    entry.check_keys(_FUNCTION_KEYS)
    if "names" in entry.values:
        yield from _covered(entry)
        return
    function = _function(entry, effects)
    yield function
    for alias in entry.values.get("aliases", []):
        # A va_list sibling is the same for all names of a function.
        yield replace(function, name=alias, of=function.name)


def _covered(entry: Entry) -> Iterator[Function]:
    if "covered" not in entry.values:
        raise entry.error("'names' stands only with 'covered'; a wrapped function needs its prototype")
    for name in entry.values["names"]:
        yield Function(
            name=name,
            family=entry.file.removesuffix(".yaml"),
            line=entry.line,
            kind="covered",
            reason=str(entry.values["covered"]),
            result="",
            parameters=(),
            variadic=False,
            headers="none",
        )


def _function(entry: Entry, effects: dict[str, Effect]) -> Function:
    values = entry.values
    kinds = [kind for kind in _KINDS if kind in values]
    if len(kinds) != 1:
        raise entry.error("a function needs exactly one of 'effect', 'manual', 'covered' and 'called'")
    result, name, parameters, variadic = _prototype(entry, values.get("prototype"))
    function = Function(
        name=name,
        family=entry.file.removesuffix(".yaml"),
        line=entry.line,
        kind={"effect": "wrapped"}.get(kinds[0], kinds[0]),
        reason="" if kinds[0] == "effect" else str(values[kinds[0]]),
        result=result,
        parameters=parameters,
        variadic=variadic,
        list=values.get("list", ""),
        fails=values.get("fails", "!result" if result.endswith("*") else "" if result == "void" else "result == -1"),
        error=values.get("error", "ip_errno()"),
        versions=bool(values.get("versions", False)),
        libc=values.get("libc", ""),
        since=str(values.get("since", "")),
        inside=_inside(entry, values.get("inside")),
        headers={True: "all", False: "none"}.get(values.get("headers", True)) or str(values["headers"]),
    )
    if function.error == "result":
        function = replace(function, fails=values.get("fails", "result != 0"))
    if kinds[0] != "effect":
        return function
    return _bind(entry, _with_optional(entry, function), effects)


def _inside(entry: Entry, text: object) -> int:
    if text is None:
        return 0
    version = re.fullmatch(r"glibc 2\.(\d+)", str(text))
    if version is None:
        raise entry.error("'inside' must read 'glibc 2.34', the first version whose calls stay inside of libc")
    return int(version[1])


def _with_optional(entry: Entry, function: Function) -> Function:
    optional = dict(entry.values.get("optional", {}))
    if not optional:
        if function.variadic and not function.list:
            raise entry.error(f"'{function.name}' is variadic: give 'optional', 'list' or 'manual'")
        return function
    when = str(optional.pop("when", "1"))
    if not optional:
        raise entry.error("'optional' takes 'name: type', once or more, and 'when'")
    parameters = tuple(Parameter(name, str(type_)) for name, type_ in optional.items())
    return replace(function, optional=parameters, optional_when=when)


def _numbers(entry: Entry, effects: dict[str, Effect]) -> Iterator[Number]:
    entry.check_keys(_NUMBER_KEYS)
    kinds = [kind for kind in ("effect", "manual", "covered") if kind in entry.values]
    if len(kinds) != 1 or "names" not in entry.values:
        raise entry.error("a number needs 'names' and exactly one of 'effect', 'manual' and 'covered'")
    for name in entry.values["names"]:
        if kinds[0] == "effect":
            yield Number(name, "wrapped", "", *_bindings(entry, name, effects))
        else:
            yield Number(name, kinds[0], str(entry.values[kinds[0]]))


def _bind(entry: Entry, function: Function, effects: dict[str, Effect]) -> Function:
    effect, early, late = _bindings(entry, function.name, effects)
    return replace(function, effect=effect, early=early, late=late)


def _bindings(
    entry: Entry, function: str, effects: dict[str, Effect]
) -> tuple[Effect, tuple[Binding, ...], tuple[Binding, ...]]:
    effect = effects.get(entry.values["effect"])
    if effect is None:
        raise entry.error(f"unknown effect '{entry.values['effect']}' (see effects.yaml)")
    bound = {name: str(value) for name, value in (entry.values.get("with") or {}).items()}
    known = {member.name for member in effect.fields}
    for name in bound:
        if name not in known:
            raise entry.error(f"effect '{effect.name}' has no field '{name}' (it has: {', '.join(sorted(known))})")
    early: list[Binding] = []
    late: list[Binding] = []
    for member in effect.fields:
        value = bound.get(member.name, member.default)
        if value is None:
            raise entry.error(f"'{function}' must bind '{member.name}' of effect '{effect.name}'")
        of_result = "result" in _WORD.findall(value)
        (late if of_result else early).append(Binding(member.name, value))
    return effect, tuple(early), tuple(late)


def _prototype(entry: Entry, text: object) -> tuple[str, str, tuple[Parameter, ...], bool]:
    match_ = re.fullmatch(r"(.*?[\s*])([A-Za-z_]\w*)\((.*)\)", text.strip()) if isinstance(text, str) else None
    if match_ is None:
        raise entry.error("'prototype' must read 'type name(type name, ...)'")
    result, name, inner = match_[1].strip(), match_[2], match_[3].strip()
    variadic = inner.endswith("...")
    parts = [] if inner in ("", "void") else _split(inner.removesuffix("...").rstrip(" ,"))
    return result, name, tuple(_parameter(entry, part) for part in parts if part), variadic


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _parameter(entry: Entry, text: str) -> Parameter:
    function_pointer = re.search(r"\(\s*\*\s*([A-Za-z_]\w*)\s*\)", text)
    if function_pointer:
        return Parameter(function_pointer[1], text)
    named = re.fullmatch(r".*[\s*]([A-Za-z_]\w*)((\[[^\]]*\])*)", text)
    if named is None:
        raise entry.error(f"parameter '{text}' has no name")
    return Parameter(named[1], text)
