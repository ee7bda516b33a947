# syntax=docker/dockerfile:1

# librdkafka and OpenSSL are built from vendored sources; the rust image brings make, perl and a C compiler for
# that, and the runtime needs nothing beyond glibc and libgcc. Both stages are Debian 12: the builder's glibc must not be newer than the runtime's.
FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# The build's revision, which `--version` and the metric build_info show.
ARG REVISION=unknown
# The caches make a second build on the same machine short; the binary is copied out, as a cache mount is not in the layer.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    ALERT_RESPONDER_REVISION="${REVISION}" cargo build --release --locked --bin alert-responder \
    && install -D target/release/alert-responder /out/alert-responder

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="alert-responder" \
      org.opencontainers.image.description="Reads alert events from Kafka and makes Microsoft Defender for Endpoint scan the devices that rules pick" \
      org.opencontainers.image.source="https://github.com/alert-responder/alert-responder" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/alert-responder /usr/local/bin/alert-responder
COPY rules/ /etc/alert-responder/rules/
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/alert-responder/
# Fails the build when the binary cannot start on the runtime's libraries.
RUN ["/usr/local/bin/alert-responder", "--version"]
# By number: Kubernetes cannot prove that a named user is not root.
USER 65532:65532
EXPOSE 9090
ENTRYPOINT ["/usr/local/bin/alert-responder"]
CMD ["run", "--config", "/etc/alert-responder/config.yaml"]
