# A voicenode in a container: `docker build --tag voicenode .` for eSpeak NG alone, and for natural voices too
# `docker build --tag voicenode:gpu --build-arg ENGINES=xtts,f5 .` CUDA comes with the packages of these engines.
ARG BASE=debian:12-slim

FROM ${BASE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY systemd systemd
COPY engines engines
COPY voicenode voicenode
ARG ENGINES=
# Nothing is installed in a running container, so pip does not go there.
RUN python3 -m venv /opt/voicenode \
    && /opt/voicenode/bin/pip install --no-cache-dir --constraint constraints.txt ".${ENGINES:+[$ENGINES]}" \
    && /opt/voicenode/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="voicenode" \
      org.opencontainers.image.description="A voice node for Home Assistant: speech over Wyoming and MQTT from local engines" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10200 voicenode \
    && useradd --uid 10200 --gid voicenode --home-dir /data --no-create-home --shell /usr/sbin/nologin voicenode \
    && install --directory --owner voicenode --group voicenode --mode 0700 /data
COPY --from=build /opt/voicenode /opt/voicenode
# All that is kept is below /data. The last two let NVIDIA's runtime show the graphics cards.
ENV PATH=/opt/voicenode/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/data \
    VOICENODE_DATA_DIR=/data \
    XDG_CACHE_HOME=/data/cache \
    NUMBA_CACHE_DIR=/data/cache/numba \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10200:10200
WORKDIR /data
VOLUME /data
EXPOSE 10200 10201
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["voicenode", "health"]
ENTRYPOINT ["voicenode"]
CMD ["serve"]
