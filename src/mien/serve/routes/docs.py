"""`/docs`: the API reference as a page, from the OpenAPI schema."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from mien.serve.routes.page import asset

STYLE = Path(__file__).with_name("docs.css")

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(render_docs(request.app.openapi()))


@router.get("/docs.css")
async def style(request: Request) -> Response:
    """How it looks."""
    return asset(request, STYLE, "text/css")


def render_docs(api: dict[str, Any]) -> str:
    """An OpenAPI document in HTML."""
    routes = [
        _route(method, path, what, api) for path, methods in api["paths"].items() for method, what in methods.items()
    ]
    info = api["info"]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])}: addresses</title>
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<main>
<h1>{escape(info["title"])} {escape(info["version"])}</h1>
<p>{escape(info["description"])}</p>
<p>For programs: <a href="/openapi.json">OpenAPI</a>. To try it: <a href="/">the page</a>. Where a token is wanted,
it goes into the header <code>Authorization: Bearer TOKEN</code>. Webcams: <code>WS /v1/stream</code>, whose messages
<code>docs/serve.md</code> tells.</p>
{"".join(routes)}
</main>
</body>
</html>
"""


def _route(method: str, path: str, what: dict[str, Any], api: dict[str, Any]) -> str:
    told = "".join(f"<p>{_words(part)}</p>" for part in what.get("description", "").split("\n\n"))
    options = "".join(map(_option, what.get("parameters", ())))
    bodies = ", ".join(f"<code>{escape(kind)}</code>" for kind in what.get("requestBody", {}).get("content", ()))
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_shape(answer, api)}</td></tr>"
        for status, answer in what["responses"].items()
    )
    return f"""<section>
<h2><span>{method.upper()}</span> {escape(path)}</h2>
{told}
{f"<p>Bodies: {bodies}</p>" if bodies else ""}
{f"<h3>Options</h3><table>{options}</table>" if options else ""}
<h3>Answers</h3><table>{answers}</table>
</section>
"""


def _option(option: dict[str, Any]) -> str:
    schema = option["schema"]
    kinds = [one.get("type", "") for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    choices = " or ".join(schema.get("enum", kinds))
    default = f", default {schema['default']}" if "default" in schema else ""
    return (
        f"<tr><td><code>{escape(option['name'])}</code></td><td>{escape(choices + default)}</td>"
        f"<td>{_words(option.get('description', ''))}</td></tr>"
    )


def _shape(answer: dict[str, Any], api: dict[str, Any]) -> str:
    """What an answer's JSON holds, one level deep."""
    content: dict[str, Any] = answer.get("content", {})
    schema: dict[str, Any] = next((kind["schema"] for kind in content.values()), {})
    named = api["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
    fields = ", ".join(f"<code>{escape(name)}</code>" for name in named.get("properties", ()))
    return f"{_words(named.get('description', ''))} {fields}"


def _words(text: str) -> str:
    """Text of Markdown's simplest kind: `code` and nothing else."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
