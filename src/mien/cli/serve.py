"""`mien serve`: the HTTP service and its web page."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mien.cli.options import ClassPrior
from mien.recognition.recognizer import DEFAULT, DETECTOR, NANO
from mien.serve.config import HOST, LOCAL, MAX_BODY, MAX_VIDEO, PORT, QUEUE, TIMEOUT, TOKEN, Settings


def serve(
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all of this machine's.")] = HOST,
    port: Annotated[int, typer.Option(help="0 for one that is free.")] = PORT,
    model: Annotated[
        str,
        typer.Option(metavar="NAME|PATH", help="For photos and webcams: a shipped model's name, or a model's folder."),
    ] = DEFAULT,
    video_model: Annotated[str, typer.Option(metavar="NAME|PATH", help="The same for videos.")] = NANO,
    detector: Annotated[str, typer.Option(help="yunet; or whole, where each image is a face already.")] = DETECTOR,
    prior: ClassPrior = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name that the service is called by; may be given again; * for any."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A site whose pages may ask too, https://example.org; may be given again."),
    ] = None,
    max_body: Annotated[int, typer.Option(metavar="BYTES", help="Of a request with images.")] = MAX_BODY,
    max_video: Annotated[int, typer.Option(metavar="BYTES", help="Of a video.")] = MAX_VIDEO,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="For a request's body to arrive, and as many for its answer.")
    ] = TIMEOUT,
    queue: Annotated[int, typer.Option(metavar="N", help="Images at one time; more are turned away.")] = QUEUE,
) -> None:
    """Serve a page and an API that read faces; with MIEN_TOKEN set, only to those who have the token."""
    from mien.serve.server import serve as run

    settings = Settings(
        host=host, port=port, model=model, video_model=video_model, detector=detector, prior=prior,
        token=os.environ.get(TOKEN) or None, hosts=tuple(allow_host or ()), origins=tuple(allow_origin or ()),
        max_body=max_body, max_video=max_video, timeout=timeout, queue=queue,
    )  # fmt: skip

    def greet(address: str) -> None:
        typer.echo(f"mien serves at {address} (Ctrl-C ends it)", err=True)
        if settings.listens_on_all_interfaces and not settings.hosts:
            typer.echo(
                f"mien: that is no name; it is called {', '.join(LOCAL)}, or what --allow-host NAME says", err=True
            )
        if host not in ("127.0.0.1", "::1", "localhost") and settings.token is None:
            typer.echo("mien: whoever reaches this address may use it; set MIEN_TOKEN to ask for a token", err=True)

    run(settings, on_start=greet)
