"""`/docs`: API reference as a page, from the OpenAPI schema."""

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
    """Return the page."""
    return HTMLResponse(render_docs(request.app.openapi()))


@router.get("/docs.css")
async def style(request: Request) -> Response:
    """Return the stylesheet."""
    return asset(request, STYLE, "text/css")


def render_docs(api: dict[str, Any]) -> str:
    """Return an OpenAPI document as HTML."""
    routes = [
        _route(method, path, route, api) for path, methods in api["paths"].items() for method, route in methods.items()
    ]
    info = api["info"]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])} API</title>
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<main>
<h1>{escape(info["title"])} {escape(info["version"])} API</h1>
<p>{escape(info["description"])}</p>
<p><a href="/openapi.json">OpenAPI document</a>, <a href="/">web page</a>. If the service requires a token, send the
header <code>Authorization: Bearer TOKEN</code>. <code>docs/serve.md</code> describes the webcam protocol of
<code>WS /v1/stream</code>.</p>
{"".join(routes)}
</main>
</body>
</html>
"""


def _route(method: str, path: str, route: dict[str, Any], api: dict[str, Any]) -> str:
    description = "".join(f"<p>{_inline(part)}</p>" for part in route.get("description", "").split("\n\n"))
    options = "".join(map(_option, route.get("parameters", ())))
    types = ", ".join(f"<code>{escape(name)}</code>" for name in route.get("requestBody", {}).get("content", ()))
    responses = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_schema(response, api)}</td></tr>"
        for status, response in route["responses"].items()
    )
    return f"""<section>
<h2><span>{method.upper()}</span> {escape(path)}</h2>
{description}
{f"<p>Request body: {types}</p>" if types else ""}
{f"<h3>Options</h3><table>{options}</table>" if options else ""}
<h3>Responses</h3><table>{responses}</table>
</section>
"""


def _option(option: dict[str, Any]) -> str:
    schema = option["schema"]
    types = [part.get("type", "") for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    choices = " or ".join(schema.get("enum", types))
    default = f", default {schema['default']}" if "default" in schema else ""
    return (
        f"<tr><td><code>{escape(option['name'])}</code></td><td>{escape(choices + default)}</td>"
        f"<td>{_inline(option.get('description', ''))}</td></tr>"
    )


def _schema(response: dict[str, Any], api: dict[str, Any]) -> str:
    """Return description and fields of a response's JSON, one level deep."""
    content: dict[str, Any] = response.get("content", {})
    schema: dict[str, Any] = next((media_type["schema"] for media_type in content.values()), {})
    named = api["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
    fields = ", ".join(f"<code>{escape(name)}</code>" for name in named.get("properties", ()))
    return f"{_inline(named.get('description', ''))} {fields}"


def _inline(text: str) -> str:
    """Convert Markdown whose only markup is `code`."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
