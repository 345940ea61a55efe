# The daemon and the mock exchange in one small image: no TensorFlow, no root.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/daemon.txt requirements/
RUN python -m venv /opt/mmd \
 && /opt/mmd/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/daemon.txt
COPY pyproject.toml README.md LICENSE ./
COPY mmd mmd
RUN /opt/mmd/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
 && find /opt/mmd -name __pycache__ -prune -exec rm -r {} +

FROM python:3.11-slim-bookworm
COPY --from=build /opt/mmd /opt/mmd
COPY models /models
RUN mkdir /state && chown 65534:65534 /state
ENV PATH=/opt/mmd/bin:$PATH PYTHONDONTWRITEBYTECODE=1 MMD_STATE_DIR=/state
USER 65534:65534
VOLUME /state
STOPSIGNAL SIGTERM
ENTRYPOINT ["mmd"]
CMD ["run"]
