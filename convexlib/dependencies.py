"""What does a function depend on? The code of this package that it reaches, and the libraries.

Found in the source, so that no list by hand decides it: from a function to every function, class
and constant that it names, to what these name, and so on. Where a module is chosen at run time by
``import_module(f"convexlib.data.{kind}")``, all that it could be count, unless the caller says
which it is. Of a class of such a module, ``import_module(...).Stimuli.splits`` reaches that method
and what it calls on itself, and not the others.
"""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple

_FOLDER = Path(__file__).resolve().parent
_PACKAGE = _FOLDER.name

_WORDLESS = frozenset({"filelock", "tqdm"})  # they change no number


class Reached(NamedTuple):
    """What some code reaches.

    Attributes
    ----------
    code : dict
        Hash of each function, class and constant that it reaches in this package, by name, such as
        ``convexlib.checks.features``; comments, docstrings and annotations do not count.
    libraries : dict
        Installed versions of the libraries that this code names.
    """

    code: dict[str, str]
    libraries: dict[str, str]


class _Unit(NamedTuple):
    """A name at the top of a module, or a method as ``Class.method``; all where there is none."""

    module: str
    name: str | None


class _Module(NamedTuple):
    """The source of a module: statements by the names that they bind; and what it imports."""

    name: str
    statements: dict[str, list[ast.stmt]]
    loose: list[ast.stmt]
    imports: dict[str, _Unit]


def of_function(function: Callable, **chosen: str) -> Reached:
    """What a function of this package reaches.

    Parameters
    ----------
    function : callable
        A function at the top of a module.
    **chosen : str
        For a subpackage whose modules are chosen at run time, the one: ``data="colors"``.

    Examples
    --------
    >>> from convexlib.statistics import mean_interval
    >>> reached = of_function(mean_interval)
    >>> sorted(reached.libraries)
    ['numpy', 'scipy']
    >>> "convexlib.statistics.Estimate" in reached.code
    True
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return of_name(function.__module__, name, **chosen)


def of_name(module: str, name: str, **chosen: str) -> Reached:
    """The same of a name at the top of a module, which is not imported."""
    return _of_units(((module, name),), tuple(sorted(chosen.items())))


def of_notebook(cells: Iterable[str], **chosen: str) -> Reached:
    """What the code of a notebook reaches.

    Parameters
    ----------
    cells : iterable of str
        The code cells.
    **chosen : str
        As in `of_function`.
    """
    module = _parsed("\n".join(cells))
    references = {
        reference
        for statement in _all_of(module)
        for reference in _references(statement, module, dict(chosen))
    }
    return _of_units(tuple(sorted(references, key=str)), tuple(sorted(chosen.items())))


def of_libraries(*names: str) -> dict[str, str]:
    """Installed versions of libraries."""
    return {name: _version(name) for name in names}


@cache
def _of_units(
    start: tuple[tuple[str, str | None], ...], chosen: tuple[tuple[str, str], ...]
) -> Reached:
    waiting, seen, libraries = [_Unit(*unit) for unit in start], set(), set()
    while waiting:
        unit = waiting.pop()
        if unit in seen:
            continue
        seen.add(unit)
        if not _is_ours(unit.module):
            libraries.update(_distributions(unit.module))
            continue
        waiting += _named_in(unit, chosen)
    code = {
        f"{unit.module}.{unit.name or '*'}": _hash(_statements(unit, _source(unit.module)))
        for unit in sorted(seen, key=str)
        if _is_ours(unit.module)
    }
    return Reached(code, of_libraries(*sorted(libraries - _WORDLESS)))


@cache
def _named_in(unit: _Unit, chosen: tuple[tuple[str, str], ...]) -> list[_Unit]:
    module = _source(unit.module)
    return [
        reference
        for statement in _statements(unit, module)
        for reference in _references(statement, module, dict(chosen))
    ]


def forget() -> None:
    """Read the source anew, as after it was changed."""
    for found in (_of_units, _named_in, _source):
        found.cache_clear()


def _hash(statements: list[ast.stmt]) -> str:
    text = "".join(map(_dumped, statements))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _statements(unit: _Unit, module: _Module) -> list[ast.stmt]:
    if unit.name is None:
        return _all_of(module)
    return [*module.statements.get(unit.name, ()), *module.loose]


def _all_of(module: _Module) -> list[ast.stmt]:
    statements = [s for name, bound in module.statements.items() for s in bound if "." not in name]
    return [*dict.fromkeys(statements), *module.loose]


def _references(node: ast.AST, module: _Module, chosen: Mapping[str, str]) -> Iterator[_Unit]:
    """The names at the top of modules that some code speaks of."""
    paths, own_imports = _read_once(node)
    imports = module.imports | own_imports
    for root, *path in paths:
        if isinstance(root, ast.Call):
            for name in _imported_at_run_time(root, chosen):
                if not path or path[0] in _source(name).statements:
                    yield from _followed(_Unit(name, None), path)
        elif root in imports:
            yield from _followed(imports[root], path)
        elif root in module.statements and module.name:
            yield _Unit(module.name, root)


@cache
def _read_once(node: ast.AST) -> tuple[list[tuple], dict[str, _Unit]]:
    """What some code names and imports, whatever is chosen at run time."""
    return [*_paths(node)], _imports(node)


def _followed(unit: _Unit, path: Sequence[str]) -> Iterator[_Unit]:
    """Where attributes lead from an imported module or name."""
    if not _is_ours(unit.module):
        yield _Unit(unit.module, None)
    elif unit.name is None:
        yield from _followed(_Unit(unit.module, path[0]), path[1:]) if path else [unit]
    elif unit.name in _source(unit.module).statements:
        yield from _members(unit, path[0]) if path else [unit]
    elif imported := _source(unit.module).imports.get(unit.name):
        yield from _followed(imported, path)
    elif _exists(f"{unit.module}.{unit.name}"):
        yield from _followed(_Unit(f"{unit.module}.{unit.name}", None), path)
    else:  # such as what lazy_loader attaches
        found = resolve_name(f"{unit.module}:{unit.name}")
        yield _Unit(found.__module__, found.__qualname__)


def _members(unit: _Unit, name: str) -> list[_Unit]:
    """A method of a class, with all that it calls on itself; else the class, or what it is."""
    found, waiting = [], [name]
    for name in waiting:  # which grows on the way
        member = _member(unit, name)
        if member is None:
            continue
        found.append(member)
        for root, *path in _paths(_statements(member, _source(member.module))[0]):
            if root in ("self", "cls", "super"):
                if not path or root == "super":
                    return [unit]
                waiting += [path[0]] if path[0] not in waiting else []
    return [*found, *_heads(unit)] if found else [unit]


def _member(unit: _Unit, name: str) -> _Unit | None:
    """Where a class, or the first of its bases that has it, defines a method."""
    for each in _heads(unit):
        method = _Unit(each.module, f"{each.name}{name}")
        if method.name in _source(each.module).statements:
            return method
    return None


def _heads(unit: _Unit) -> list[_Unit]:
    """What a class of ours and its bases have besides methods, as ``Class.``."""
    module = _source(unit.module)
    heads = [_Unit(unit.module, f"{unit.name}.")] if f"{unit.name}." in module.statements else []
    for statement in module.statements[unit.name] if heads else ():
        for base in statement.bases:
            for each in _references(base, module, {}):
                heads += _heads(each) if _is_ours(each.module) and each.name else []
    return heads


def _paths(
    node: ast.AST, hidden: frozenset[str] = frozenset()
) -> Iterator[tuple[str | ast.Call, ...]]:
    """Names, and imports at run time, with the attributes that follow: ``a.b.c`` as (a, b, c).

    Without names that a function hides behind its own.
    """
    attributes, inner = [], node
    while isinstance(inner, ast.Attribute):
        attributes.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        if inner.id not in hidden:
            yield (inner.id, *reversed(attributes))
        return
    if isinstance(inner, ast.Call) and _paths_end(inner.func) == "import_module":
        yield (inner, *reversed(attributes))
    is_function = isinstance(inner, ast.FunctionDef | ast.Lambda)
    within = hidden | _own_names(inner) if is_function else hidden
    outside = [inner.args, *getattr(inner, "decorator_list", ())] if is_function else []
    for child in ast.iter_child_nodes(inner):
        yield from _paths(child, hidden if child in outside else within)


def _own_names(function: ast.FunctionDef | ast.Lambda) -> frozenset[str]:
    """Parameters of a function, but self and cls, and names that its statements assign to."""
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    given += filter(None, [arguments.vararg, arguments.kwarg])
    names = {argument.arg for argument in given} - {"self", "cls"}
    waiting = list(function.body) if isinstance(function, ast.FunctionDef) else []
    apart = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
    apart += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Global):
            return frozenset()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if not isinstance(node, apart):
            waiting += ast.iter_child_nodes(node)
    return frozenset(names - {*_imports(function)})


def _imports(node: ast.AST) -> dict[str, _Unit]:
    found = {}
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or name] = _Unit(name, None)
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                found[alias.asname or alias.name] = _Unit(statement.module or "", alias.name)
    return found


def _imported_at_run_time(call: ast.Call, chosen: Mapping[str, str]) -> Iterator[str]:
    (name,) = call.args
    first = name.values[0] if isinstance(name, ast.JoinedStr) else name
    if not isinstance(first, ast.Constant):
        raise ValueError(f"line {call.lineno}: import_module of what cannot be told beforehand")
    if not isinstance(name, ast.JoinedStr):
        yield first.value
        return
    parent = first.value.removesuffix(".")
    only = chosen.get(parent.rpartition(".")[2])
    yield from (
        f"{parent}.{path.stem}"
        for path in sorted(_file(parent).parent.glob("*.py"))
        if path.stem == only or (only is None and path.stem != "__init__")
    )


def _paths_end(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


@cache
def _source(name: str) -> _Module:
    return _parsed(_file(name).read_text(encoding="utf-8"), name)


def _parsed(text: str, name: str = "") -> _Module:
    module = _Module(name, {}, [], {})
    for statement in ast.parse(text).body:
        if _is_text(statement) or _is_for_types_alone(statement):
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.imports.update(_imports(statement))
            continue
        plain = _Plain().visit(statement)
        bound = [*_bound(plain)]
        for name in bound:
            module.statements.setdefault(name, []).append(plain)
        if isinstance(plain, ast.ClassDef):
            module.statements.update(_methods(plain))
        if not bound:
            module.loose.append(plain)
    return module


def _methods(of: ast.ClassDef) -> dict[str, list[ast.stmt]]:
    """Methods of a class as ``Class.method``, and what it has besides as ``Class.``."""
    methods = [node for node in of.body if isinstance(node, ast.FunctionDef)]
    others = [node for node in of.body if node not in methods]
    head = ast.ClassDef(of.name, [], [], others, of.decorator_list, type_params=[])
    found: dict[str, list[ast.stmt]] = {f"{of.name}.": [head]}
    for method in methods:
        found.setdefault(f"{of.name}.{method.name}", []).append(method)
    return found


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


class _Plain(ast.NodeTransformer):
    """Code without what only people and type checkers read."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_text(statement)]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, or a string that documents a constant."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_for_types_alone(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and _paths_end(statement.test) == "TYPE_CHECKING"


@cache
def _dumped(statement: ast.stmt) -> str:
    return ast.dump(statement)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _PACKAGE


def _exists(module: str) -> bool:
    return _is_ours(module) and _file(module).is_file()


def _file(module: str) -> Path:
    path = _FOLDER.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _distributions(module: str) -> list[str]:
    """The libraries that an imported module comes from; none for the standard library."""
    top = module.partition(".")[0]
    return [] if top in sys.stdlib_module_names else _owners().get(top, [])


_owners = cache(packages_distributions)
_version = cache(version)
