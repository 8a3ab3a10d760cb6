"""The typed stub `_engine.pyi` says what the compiled module has: names, kinds of member, parameters."""

import ast
import inspect
import operator

import pytest

from ranef import _engine
from sources import PACKAGE

STUB = ast.parse((PACKAGE / "_engine.pyi").read_text(encoding="utf-8"))


def declared(body):
    """Public functions, classes and annotated names of a stub's body."""
    members = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            members[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            members[node.target.id] = node
    return members


def is_public(name):
    return not name.startswith("_")


MODULE = declared(STUB.body)
CLASSES = {
    name: node
    for name, node in MODULE.items()
    if isinstance(node, ast.ClassDef) and not any("Exception" in ast.unparse(base) for base in node.bases)
}


def test_same_names_in_the_module():
    compiled = {name for name in dir(_engine) if is_public(name)}
    # Type aliases of the stub are assignments, which `declared` does not list.
    assert {name for name in MODULE if is_public(name)} == compiled


def test_dunder_names_of_the_stub_exist():
    for name in MODULE:
        assert hasattr(_engine, name), name


@pytest.mark.parametrize("name", CLASSES)
def test_same_members_in_each_class(name):
    stub = {member for member in declared(CLASSES[name].body) if is_public(member)}
    compiled = {member for member in vars(getattr(_engine, name)) if is_public(member)}
    assert stub == compiled


def kind_in_stub(node):
    if isinstance(node, ast.AnnAssign):
        return "property"
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    return "property" if "property" in decorators else "method"


@pytest.mark.parametrize("name", CLASSES)
def test_properties_are_properties(name):
    for member, node in declared(CLASSES[name].body).items():
        if is_public(member):
            compiled = vars(getattr(_engine, name))[member]
            kind = "property" if inspect.isdatadescriptor(compiled) else "method"
            assert kind == kind_in_stub(node), member


def parameters_in_stub(node):
    arguments = node.args
    positional = [a.arg for a in [*arguments.posonlyargs, *arguments.args]]
    optional = positional[len(positional) - len(arguments.defaults) :]
    optional += [a.arg for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default]
    return positional + [a.arg for a in arguments.kwonlyargs], set(optional)


def parameters_compiled(function):
    parameters = inspect.signature(function).parameters
    optional = {name for name, p in parameters.items() if p.default is not inspect.Parameter.empty}
    return list(parameters), optional


def functions():
    for name, node in MODULE.items():
        if isinstance(node, ast.FunctionDef):
            yield pytest.param(node, name, id=name)
    for name, card in CLASSES.items():
        for member, node in declared(card.body).items():
            if isinstance(node, ast.FunctionDef) and is_public(member) and kind_in_stub(node) == "method":
                yield pytest.param(node, f"{name}.{member}", id=f"{name}.{member}")


@pytest.mark.parametrize(("node", "path"), list(functions()))
def test_same_parameters(node, path):
    function = operator.attrgetter(path)(_engine)
    assert parameters_in_stub(node) == parameters_compiled(function)
