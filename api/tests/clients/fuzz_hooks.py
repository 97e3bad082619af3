"""Lets schemathesis read a document of OpenAPI 3.1: its analysis of links takes a list of types for a single one."""

from schemathesis.specs.openapi.stateful.dependencies import schemas

_original = schemas._is_interesting_schema


def _is_interesting(schema):
    types = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(types, list):
        schema = {**schema, "type": next((own for own in types if own != "null"), "null")}
    return _original(schema)


schemas._is_interesting_schema = _is_interesting
