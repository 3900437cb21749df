"""The description of the interface as a page of its own: FastAPI's pages are programs that other hosts deliver."""

from collections.abc import Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 1rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-top: 1px solid #8888; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid #8888; }
"""


def interface_page(openapi: Mapping[str, Any]) -> str:
    """Return a page about the paths of an OpenAPI description."""
    info = openapi["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    operations = "".join(
        _operation(path, method, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p>{escape(info["summary"])} <a href="openapi.json">openapi.json</a> has this for programs; <a href="./">the page</a>
is for people.</p>
<pre>curl -F files=@a.wav -F files=@b.m4a http://127.0.0.1:8000/v1/emotions
curl -H "Authorization: Bearer TOKEN" -F files=@a.wav "https://HOST/v1/emotions?channels=each"</pre>
{operations}</body></html>
"""


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    description = operation.get("description", "").replace("\n", " ")
    parameters = {
        parameter["name"]: f"{parameter.get('description', '')} {_default(parameter['schema'])}"
        for parameter in operation.get("parameters", [])
    }
    answers = {status: answer["description"] for status, answer in operation["responses"].items()}
    return f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(description)}</p>" + "".join(
        f"<table><thead><tr><th>{heading}</th><th></th></tr></thead><tbody>{_rows(rows)}</tbody></table>"
        for heading, rows in (("parameter", parameters), ("status", answers))
        if rows
    )


def _default(schema: Mapping[str, Any]) -> str:
    return f"(default: {schema['default']})" if schema.get("default") is not None else ""


def _rows(rows: Mapping[str, str]) -> str:
    return "".join(f"<tr><td><code>{escape(key)}</code></td><td>{escape(text)}</td></tr>" for key, text in rows.items())
