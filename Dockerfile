# The daemon and the mock exchange in one small image: no TensorFlow, no root, no compiler; the core compiled.
FROM python:3.11-slim-bookworm AS core
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/compile.txt requirements/
RUN python -m venv /opt/compile \
 && /opt/compile/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/compile.txt
COPY pyproject.toml ./
COPY deploy/scripts/compile-core deploy/scripts/
COPY mmd mmd
RUN MMD_CORE_DIR=/opt/core /opt/compile/bin/python deploy/scripts/compile-core

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# Of plotly only the script that the operator's page draws its charts with is needed.
COPY requirements/page.txt requirements/
RUN python -m venv /opt/mmd \
 && /opt/mmd/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/page.txt \
 && find /opt/mmd/lib/python3*/site-packages/plotly -type f ! -name plotly.min.js -delete
COPY pyproject.toml README.md LICENSE ./
COPY mmd mmd
RUN /opt/mmd/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
 && find /opt/mmd -name __pycache__ -prune -exec rm -r {} +

FROM python:3.11-slim-bookworm
COPY --from=build /opt/mmd /opt/mmd
COPY --from=core /opt/core /opt/mmd/core
COPY models /models
RUN mkdir /state && chown 65534:65534 /state
ENV PATH=/opt/mmd/bin:$PATH PYTHONDONTWRITEBYTECODE=1 MMD_STATE_DIR=/state MMD_CORE_DIR=/opt/mmd/core
USER 65534:65534
VOLUME /state
STOPSIGNAL SIGTERM
ENTRYPOINT ["mmd"]
CMD ["run"]
