# One image a service: docker build --build-arg SERVICE=identity -t bihuan-identity .
# SERVICE is one of: gateway, identity, profile, scoring, attribution.
# syntax=docker/dockerfile:1

FROM python:3.12-slim-bookworm AS build
ENV UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/bihuan \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
RUN python -m pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
WORKDIR /src
# Dependencies first, so that a change of code alone reuses this layer.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project
COPY protos/gen protos/gen
COPY services services
COPY shared shared
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.12-slim-bookworm
# LightGBM needs the OpenMP runtime.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin bihuan \
    && install --directory --owner=bihuan --group=bihuan /var/lib/bihuan
COPY --from=build /opt/bihuan /opt/bihuan
ARG SERVICE
RUN test -n "$SERVICE" && /opt/bihuan/bin/python -c "import bihuan_${SERVICE}"
ENV BIHUAN_SERVICE=${SERVICE} \
    BIHUAN_STATE_DIR=/var/lib/bihuan \
    PATH=/opt/bihuan/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001
VOLUME /var/lib/bihuan
EXPOSE 8080 9090
ENTRYPOINT ["/bin/sh", "-c", "exec python -m bihuan_${BIHUAN_SERVICE}"]
