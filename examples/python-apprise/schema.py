"""The part of JSON Schema that a channel's section needs, so that the manual that
mpush prints and the check that the channel makes are one text."""

import copy
import re


def check(schema, value, path=""):
    """Returns what is wrong, as (path, message). It knows type, properties,
    required, additionalProperties (False), items, enum, minLength, maxLength,
    pattern, minItems, minimum and maximum."""
    kind = _type(value)
    wanted = schema.get("type", kind)
    if wanted != kind and not (wanted == "number" and kind == "integer"):
        return [(path, f"expected {wanted}, got {kind}")]
    if value not in schema.get("enum", [value]):
        return [(path, "expected one of " + ", ".join(map(str, schema["enum"])))]
    if kind == "object":
        return _check_object(schema, value, path)
    if kind == "array":
        if len(value) < schema.get("minItems", 0):
            return [(path, f"expected at least {schema['minItems']}")]
        return [fault for i, item in enumerate(value) for fault in check(schema.get("items", {}), item, f"{path}[{i}]")]
    if kind == "string":
        if len(value) < schema.get("minLength", 0):
            return [(path, "must not be empty" if schema["minLength"] == 1 else f"expected at least {schema['minLength']} characters")]
        if len(value) > schema.get("maxLength", len(value)):
            return [(path, f"expected at most {schema['maxLength']} characters")]
        if not re.search(schema.get("pattern", ""), value):
            return [(path, f"expected a match of {schema['pattern']}")]
    if kind in ("integer", "number"):
        if value < schema.get("minimum", value):
            return [(path, f"expected at least {schema['minimum']}")]
        if value > schema.get("maximum", value):
            return [(path, f"expected at most {schema['maximum']}")]
    return []


def _check_object(schema, value, path):
    def below(key):
        return f"{path}.{key}" if path else key

    known, faults = schema.get("properties", {}), []
    for key, item in value.items():
        if key in known:
            faults += check(known[key], item, below(key))
        elif schema.get("additionalProperties") is False:
            faults.append((below(key), "unknown key"))
    return faults + [(below(key), "required") for key in schema.get("required", []) if key not in value]


def with_defaults(schema, value):
    """Returns a value that fits the schema with its defaults filled in."""
    if isinstance(value, dict):
        filled = dict(value)
        for key, sub in schema.get("properties", {}).items():
            if key in filled:
                filled[key] = with_defaults(sub, filled[key])
            elif "default" in sub:
                filled[key] = copy.deepcopy(sub["default"])
        return filled
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), item) for item in value]
    if schema.get("type") == "integer":
        return int(value)  # 16.0 is one, too
    return value


def _type(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or isinstance(value, float) and value.is_integer():
        return "integer"
    return {float: "number", str: "string", list: "array", dict: "object"}[type(value)]
