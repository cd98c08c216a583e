"""What does a function depend on? The code of this package that it reaches, and the libraries.

Found in the source, so that no list by hand decides it: from a function to every function, class
and constant that it names, to what these name, and so on. Where a module is chosen at run time by
``import_module(f"convexlib.stimuli.{kind}")``, all that it could be count, unless the caller says
which it is.
"""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    code : str
        Hash of all that it reaches in this package; comments, docstrings and annotations of
        functions do not count.
    libraries : dict
        Installed versions of the libraries that this code names.
    names : frozenset of str
        What it reaches in this package, such as ``convexlib.checks.features``.
    """

    code: str
    libraries: dict[str, str]
    names: frozenset[str]


class _Unit(NamedTuple):
    """A name at the top of a module; all of them where there is no name."""

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
        For a subpackage whose modules are chosen at run time, the one: ``stimuli="colors"``.

    Examples
    --------
    >>> from convexlib.statistics import mean_interval
    >>> reached = of_function(mean_interval)
    >>> sorted(reached.libraries)
    ['numpy', 'scipy']
    >>> "convexlib.statistics.Estimate" in reached.names
    True
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return _of_units(((function.__module__, name),), tuple(sorted(chosen.items())))


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
        module = _source(unit.module)
        for statement in _statements(unit, module):
            waiting += _references(statement, module, dict(chosen))
    ours = {unit for unit in seen if _is_ours(unit.module)}
    digest = hashlib.sha256()
    for unit in sorted(ours, key=str):
        for statement in _statements(unit, _source(unit.module)):
            digest.update(_dumped(statement).encode())
    names = frozenset(f"{unit.module}.{unit.name}" for unit in ours)
    return Reached(digest.hexdigest()[:12], of_libraries(*sorted(libraries - _WORDLESS)), names)


def _statements(unit: _Unit, module: _Module) -> list[ast.stmt]:
    if unit.name is None:
        return _all_of(module)
    return [*module.statements.get(unit.name, ()), *module.loose]


def _all_of(module: _Module) -> list[ast.stmt]:
    statements = [s for bound in module.statements.values() for s in bound]
    return [*dict.fromkeys(statements), *module.loose]


def _references(node: ast.AST, module: _Module, chosen: Mapping[str, str]) -> Iterator[_Unit]:
    """The names at the top of modules that some code speaks of."""
    imports = module.imports | _imports(node)
    for path in _paths(node):
        if path[0] in imports:
            yield from _followed(imports[path[0]], path[1:])
        elif path[0] in module.statements and module.name:
            yield _Unit(module.name, path[0])
    for name in _imported_at_run_time(node, chosen):
        yield _Unit(name, None)


def _followed(unit: _Unit, path: tuple[str, ...]) -> Iterator[_Unit]:
    """Where attributes lead from an imported module or name."""
    if not _is_ours(unit.module):
        yield _Unit(unit.module, None)
        return
    if unit.name is not None:
        imported = _source(unit.module).imports.get(unit.name)
        if imported and unit.name not in _source(unit.module).statements:
            yield from _followed(imported, path)
        elif _exists(f"{unit.module}.{unit.name}"):
            yield from _followed(_Unit(f"{unit.module}.{unit.name}", None), path)
        elif unit.name in _source(unit.module).statements:
            yield unit
        else:  # such as what lazy_loader attaches
            found = resolve_name(f"{unit.module}:{unit.name}")
            yield _Unit(found.__module__, found.__qualname__)
    elif path:
        yield from _followed(_Unit(unit.module, path[0]), path[1:])
    else:
        yield unit


def _paths(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Names with the attributes that follow on them: ``a.b.c`` as (a, b, c)."""
    attributes, inner = [], node
    while isinstance(inner, ast.Attribute):
        attributes.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield (inner.id, *reversed(attributes))
        return
    for child in ast.iter_child_nodes(inner):
        yield from _paths(child)


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


def _imported_at_run_time(node: ast.AST, chosen: Mapping[str, str]) -> Iterator[str]:
    for call in ast.walk(node):
        if not (isinstance(call, ast.Call) and _paths_end(call.func) == "import_module"):
            continue
        (name,) = call.args
        first = name.values[0] if isinstance(name, ast.JoinedStr) else name
        if not isinstance(first, ast.Constant):
            raise ValueError(f"line {call.lineno}: import_module of what cannot be told beforehand")
        if not isinstance(name, ast.JoinedStr):
            yield first.value
            continue
        parent = first.value.removesuffix(".")
        only = chosen.get(parent.rpartition(".")[2])
        folder = _file(parent).parent
        yield from (
            f"{parent}.{path.stem}"
            for path in sorted(folder.glob("*.py"))
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
        if not bound:
            module.loose.append(plain)
    return module


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
