# One image for every process of the service; the command chooses which: web, worker LANE, scorer, schedule,
# migrate.
# docker build --build-arg TORCH_PIP_ARGS="..." chooses the build of torch, as in README.md.

FROM node:22-bookworm-slim AS assets
WORKDIR /build
COPY package.json package-lock.json ./
COPY scripts/build-assets scripts/
COPY annotations/styles annotations/styles
RUN scripts/build-assets annotations/static/vendor

FROM python:3.11-slim-bookworm AS packages
WORKDIR /build
RUN python -m venv /opt/triage
ENV PATH=/opt/triage/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY deploy/requirements.lock deploy/
RUN pip install --only-binary :all: --require-hashes --no-deps -r deploy/requirements.lock
ARG TORCH_PIP_ARGS=""
COPY pyproject.toml ./
RUN pip install --only-binary :all: $TORCH_PIP_ARGS "$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)"
# The project last: a change of its code does not install the packages again.
COPY README.md ./
COPY triage triage
COPY classifiers classifiers
COPY annotations annotations
COPY workers workers
COPY --from=assets /build/annotations/static/vendor annotations/static/vendor
# The second encoder, from the packages it is published in; it lies beside them in the environment.
RUN python -m classifiers.assemble

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /srv/triage --shell /usr/sbin/nologin triage \
    && install --directory --owner=triage --group=triage --mode=0700 /var/lib/triage
COPY --from=packages /opt/triage /opt/triage
COPY --from=packages /build /srv/triage
WORKDIR /srv/triage
# Run from the source tree, not from an installed copy: the pages' templates and the trained model lie beside the code.
# The root file system may be read-only; what libraries want to cache goes to /tmp.
ENV PATH=/opt/triage/bin:$PATH \
    HOME=/tmp \
    PYTHONPATH=/srv/triage \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TRIAGE_DATA_DIR=/var/lib/triage \
    TRIAGE_HOST=0.0.0.0
USER triage
EXPOSE 8000 8001
ENTRYPOINT ["python", "-m", "workers.cli"]
CMD ["web"]
