"""The part of `--help` that lists the keys of a config."""

import json
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from experiments.config.schema import Agent, Config, Environment, Training


def key_table() -> str:
    """Every config key with type, default and meaning."""
    lines = []
    for prefix, section in (
        ("", Config),
        ("environment.", Environment),
        ("agent.", Agent),
        ("training.", Training),
    ):
        for name, field in section.model_fields.items():
            if field.description is None:
                continue
            default = "required" if field.is_required() else f"default {_as_toml(field.get_default())}"
            lines.append(f"  {prefix}{name}: {_type_text(field.annotation)}, {default}\n      {field.description}")
    return "\n".join(lines)


def _as_toml(value: Any) -> str:
    if value is None:
        return "none"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _type_text(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(json.dumps(choice) for choice in get_args(annotation))
    if annotation in (int, float, bool, str):
        return {int: "integer", float: "number", bool: "true | false", str: "text"}[annotation]
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _type_text(parts[0])
    if get_origin(annotation) is tuple:
        return f"list of {_type_text(parts[0])}s"
    if get_origin(annotation) is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (
            "{ "
            + ", ".join(f"{k} = {_type_text(f.annotation)}" for k, f in annotation.model_fields.items())
            + " }"
        )
    return " | ".join(_type_text(part) for part in parts if part is not type(None))
