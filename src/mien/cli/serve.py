"""`mien serve`: HTTP service and web page."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mien.cli.options import ClassPrior, Detector
from mien.cli.output import print_prior_synonyms
from mien.recognition.recognizer import DEFAULT, DETECTOR, NANO
from mien.serve.config import HOST, LOCAL, MAX_BODY, MAX_VIDEO, PORT, QUEUE, TIMEOUT, TOKEN, Settings


def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all interfaces.")
    ] = HOST,
    port: Annotated[int, typer.Option(metavar="N", help="Port to listen on; 0 for a free one.")] = PORT,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER",
            help="Model for photos and webcams: shipped model, or folder of an exported model.",
        ),
    ] = DEFAULT,
    video_model: Annotated[str, typer.Option(metavar="NAME|FOLDER", help="Model for videos.")] = NANO,
    detector: Detector = DETECTOR,
    prior: ClassPrior = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Host name to accept, such as faces.example.org; * for any. May be repeated."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Website that may send requests from the browser, such as https://example.org. May be repeated.",
        ),
    ] = None,
    max_body: Annotated[int, typer.Option(metavar="BYTES", help="Maximum size of a request with images.")] = MAX_BODY,
    max_video: Annotated[
        int, typer.Option(metavar="BYTES", help="Maximum size of a request with a video.")
    ] = MAX_VIDEO,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Maximum time to receive a request, and again to respond to it.")
    ] = TIMEOUT,
    queue: Annotated[
        int,
        typer.Option(
            metavar="N", help="Maximum number of images that wait or are analyzed; further requests get status 503."
        ),
    ] = QUEUE,
) -> None:
    """Run the HTTP API and the web page; if MIEN_TOKEN is set, clients must send this token."""
    from mien.model import read_card
    from mien.serve.server import serve as run

    settings = Settings(
        host=host, port=port, model=model, video_model=video_model, detector=detector, prior=prior,
        token=os.environ.get(TOKEN) or None, hosts=tuple(allow_host or ()), origins=tuple(allow_origin or ()),
        max_body=max_body, max_video=max_video, timeout=timeout, queue=queue,
    )  # fmt: skip

    def print_url(url: str) -> None:
        print_prior_synonyms(prior, read_card(model).labels)
        typer.echo(f"mien is running on {url} (press Ctrl-C to stop)", err=True)
        if settings.listens_on_all_interfaces and not settings.hosts:
            typer.echo(
                f"mien: only the hosts {', '.join(LOCAL)} are allowed; add others with --allow-host NAME", err=True
            )
        if host not in ("127.0.0.1", "::1", "localhost") and settings.token is None:
            typer.echo(
                "mien: anyone who can reach this address can use the service; set MIEN_TOKEN to require a token",
                err=True,
            )

    run(settings, on_start=print_url)
