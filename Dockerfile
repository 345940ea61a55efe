# The daemon, the guard and the mock exchange in one small image: no TensorFlow, no root, no compiler; the core compiled.
FROM python:3.11-slim-bookworm AS core
# A Python of Debian's own has its headers in a package of their own.
RUN apt-get update \
 && python -c 'import pathlib, sysconfig as s; print("" if pathlib.Path(s.get_path("include"), "Python.h").is_file() else "python3-dev")' >/tmp/headers \
 && apt-get install -y --no-install-recommends gcc libc6-dev $(cat /tmp/headers) && rm -rf /var/lib/apt/lists/*
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
# What serves nobody at run time goes: pip, the packages' own tests, drivers of accelerators.
RUN /opt/mmd/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
 && /opt/mmd/bin/pip uninstall -y -q --disable-pip-version-check setuptools pip \
 && packages=$(echo /opt/mmd/lib/python3*/site-packages) \
 && find /opt/mmd \( -name __pycache__ -o -path '*/numpy/*/tests' \) -prune -exec rm -r {} + \
 && rm -r $packages/ai_edge_litert/tools $packages/ai_edge_litert/vendors $packages/ai_edge_litert/*WebGpu*

FROM python:3.11-slim-bookworm
COPY --from=build /opt/mmd /opt/mmd
COPY --from=core /opt/core /opt/mmd/core
COPY models /models
RUN mkdir /state /journal /run/mmd && chown 65534:65534 /state /journal /run/mmd
ENV PATH=/opt/mmd/bin:$PATH PYTHONDONTWRITEBYTECODE=1 MMD_STATE_DIR=/state MMD_JOURNAL__FOLDER=/journal MMD_CORE=compiled MMD_CORE_DIR=/opt/mmd/core
USER 65534:65534
VOLUME ["/state", "/journal"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["mmd"]
CMD ["run"]
