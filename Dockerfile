# The image of the operator. Both stages name their base by tag; a release pins it by digest (name:tag@sha256:…).
FROM python:3.12-slim-bookworm AS build

WORKDIR /src
COPY requirements/ requirements/
# The lock of the development tools carries the build backend; the wheel is made with exactly those versions.
RUN python -m venv /build \
 && /build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator/ operator/
RUN /build/bin/python -m hatchling build -t wheel -d /dist

RUN python -m venv /opt/dispersed-operator \
 && /opt/dispersed-operator/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
      -r requirements/operator.txt \
 && /opt/dispersed-operator/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-index /dist/*.whl \
 && /opt/dispersed-operator/bin/python -m pip uninstall --yes setuptools pip

FROM python:3.12-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/dispersed-operator/bin:$PATH
COPY --from=build /opt/dispersed-operator /opt/dispersed-operator
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["dispersed-operator"]
CMD ["run"]
