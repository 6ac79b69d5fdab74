# The service, for a container that runs as nobody in particular on a file system that it cannot write to.
#   docker build -t mien .        docker compose up
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/mien \
 && /opt/mien/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt '.[serve,video]'

FROM python:3.11-slim
COPY --from=build /opt/mien /opt/mien
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin mien
USER 10001:10001
ENV PATH=/opt/mien/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["mien", "serve", "--host", "0.0.0.0"]
